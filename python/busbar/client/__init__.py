"""Calls services of a server from programs of your own::

    from busbar.client import AnyServiceInvoker

    client = AnyServiceInvoker('http://127.0.0.1:17011', '/zato/admin/invoke', ('admin.invoke', password))
    response = client.invoke('crm.get-customer', {'id': 7})
    if response.ok:
        print(response.data)
    else:
        print(response.cid, response.details)

Which class for which door:

* :class:`AnyServiceInvoker`, :class:`ZatoClient` - any service by its name, through ``/zato/admin/invoke``;
  :func:`get_client_from_server_conf` makes one from a server's directory
* :class:`APIClient` - any service by its name, through ``/zato/api/invoke/NAME``, with any HTTP method
* :class:`JSONClient`, :class:`XMLClient`, :class:`SOAPClient`, :class:`RawDataClient` - one channel of that data format
* :class:`JSONSIOClient`, :class:`SOAPSIOClient` - one channel whose answers are in the envelope ``zato_env``

What a server refuses is told by ``response.ok``, never by an exception. Exceptions are for what is no answer: a server
that cannot be reached is a :class:`ConnectionError`, an answer that is not in the format that it should be in a
:class:`ValueError`.

Nothing here needs a server in the same process. It needs the package ``httpx``; :class:`XMLClient`,
:class:`SOAPClient` and :class:`SOAPSIOClient` need ``lxml`` too.
"""

from busbar.client.api import APIClient, APIResponse
from busbar.client.channels import JSONClient, JSONSIOClient, RawDataClient, SOAPClient, SOAPSIOClient, XMLClient
from busbar.client.directory import get_client_from_server_conf
from busbar.client.invoker import AnyServiceInvoker, ServiceInvokeResponse, ZatoClient
from busbar.client.responses import (
    JSONResponse,
    JSONSIOResponse,
    RawDataResponse,
    Response,
    SOAPResponse,
    SOAPSIOResponse,
    XMLResponse,
)

__all__ = [
    'APIClient',
    'APIResponse',
    'AnyServiceInvoker',
    'JSONClient',
    'JSONResponse',
    'JSONSIOClient',
    'JSONSIOResponse',
    'RawDataClient',
    'RawDataResponse',
    'Response',
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
