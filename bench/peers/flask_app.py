"""The bare service and the tutorial's in Flask, for gunicorn with gevent."""

from __future__ import annotations

import os
from typing import Any

import requests
from flask import Flask, request
from requests.adapters import HTTPAdapter

app = Flask(__name__)
backend = os.environ.get('BACKEND', '')

# connections are kept, as many as there are clients: what a careful author does
session = requests.Session()
session.mount('http://', HTTPAdapter(pool_connections=4, pool_maxsize=128))


@app.post('/bare')
def bare() -> dict[str, Any]:
    """Answers one request."""
    payload = request.get_json()
    return {'cust_id': payload['cust_id'], 'cust_type': payload['cust_type'], 'is_active': True}


@app.post('/tutorial')
def tutorial() -> dict[str, Any]:
    """Answers one request, with two outgoing calls."""
    payload = request.get_json()
    client = session.post(f'{backend}/crm', json=payload, timeout=10).json()
    last_payment = session.post(f'{backend}/payments', json=payload, timeout=10).json()
    return {
        'first_name': client['firstName'],
        'last_name': client['lastName'],
        'last_payment_date': last_payment['DATE'],
        'last_payment_amount': last_payment['AMOUNT'],
    }
