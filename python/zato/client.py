"""Calls services of a server over HTTP, from programs of your own. What it has is told in :mod:`busbar.client`::

from zato.client import AnyServiceInvoker

client = AnyServiceInvoker('http://127.0.0.1:17011', '/zato/admin/invoke', ('admin.invoke', password))
response = client.invoke('crm.get-customer', {'id': 7})
if response.ok:
    print(response.data)
"""

from busbar.client import (
    AnyServiceInvoker,
    APIClient,
    JSONClient,
    JSONResponse,
    JSONSIOClient,
    JSONSIOResponse,
    RawDataClient,
    RawDataResponse,
    ServiceInvokeResponse,
    SOAPClient,
    SOAPResponse,
    SOAPSIOClient,
    SOAPSIOResponse,
    XMLClient,
    XMLResponse,
    ZatoClient,
    get_client_from_server_conf,
)

__all__ = [
    'APIClient',
    'AnyServiceInvoker',
    'JSONClient',
    'JSONResponse',
    'JSONSIOClient',
    'JSONSIOResponse',
    'RawDataClient',
    'RawDataResponse',
    'SOAPClient',
    'SOAPResponse',
    'SOAPSIOClient',
    'SOAPSIOResponse',
    'ServiceInvokeResponse',
    'XMLClient',
    'XMLResponse',
    'ZatoClient',
    'get_client_from_server_conf',
]
