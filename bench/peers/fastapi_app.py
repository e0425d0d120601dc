"""The bare service in FastAPI, for uvicorn."""

from __future__ import annotations

from typing import Any

from fastapi import Body, FastAPI

app = FastAPI()


@app.post('/bare')
async def bare(request: dict[str, Any] = Body()) -> dict[str, Any]:  # noqa: B008 - that is how FastAPI declares it
    """Answers one request."""
    return {'cust_id': request['cust_id'], 'cust_type': request['cust_type'], 'is_active': True}
