"""One row out of a database as JSON, in FastAPI over SQLAlchemy and psycopg2, for uvicorn."""

from __future__ import annotations

import os
from typing import Any

from fastapi import Body, Depends, FastAPI
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session, sessionmaker

# as many as endpoints run at once
sessions = sessionmaker(create_engine(os.environ['DATABASE'], pool_size=20))
app = FastAPI()
QUERY = text('SELECT name, city, balance, created FROM customer WHERE id = :id')


def session() -> Any:
    """A session for one request."""
    with sessions() as made:
        yield made


@app.post('/bare')
def bare() -> dict[str, Any]:
    """Tells that it is there."""
    return {}


@app.post('/customer')
def customer(
    request: dict[str, Any] = Body(),  # noqa: B008 - that is how FastAPI declares it
    session: Session = Depends(session),  # noqa: B008 - and that
) -> dict[str, Any]:
    """Answers one request."""
    row = session.execute(QUERY, {'id': request['id']}).one()
    return {'name': row.name, 'city': row.city, 'balance': float(row.balance), 'created': row.created.isoformat()}
