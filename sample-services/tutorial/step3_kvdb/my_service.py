"""Tutorial, step 3: which types of clients fraud detection wants to hear of is a list in the key/value database.

The list can change while the service runs::

    LPUSH myapp:fraud-detection:cust-type A
    LPUSH myapp:fraud-detection:cust-type B
"""

from datetime import UTC, datetime
from json import dumps, loads

from zato.server.service import Service

CLIENT_TYPES = 'myapp:fraud-detection:cust-type'


class GetClientDetails(Service):
    """What the CRM and the payments system know of a client, in one answer."""

    def should_notify_frauds(self, client_type):
        return client_type in self.kvdb.conn.lrange(CLIENT_TYPES, 0, -1)

    def handle(self):
        request = dumps(self.request.payload)
        self.logger.info('Request: %s', request)

        crm = self.outgoing.plain_http.get('CRM')
        payments = self.outgoing.plain_http.get('Payments')

        # text in, text out: the correlation id may be left out, and the answer read by hand
        client = loads(crm.conn.send(request).text)
        last_payment = loads(payments.conn.send(request).text)

        response = {
            'first_name': client['firstName'],
            'last_name': client['lastName'],
            'last_payment_date': last_payment['DATE'],
            'last_payment_amount': last_payment['AMOUNT'],
        }

        if self.should_notify_frauds(self.request.payload['cust_type']):
            report = {
                'timestamp': datetime.now(UTC).isoformat(),
                'request': request,
                'response': response,
            }
            self.outgoing.zmq.send(dumps(report), 'Fraud detection')
        else:
            self.logger.info('No report to fraud detection for CID %s', self.cid)

        self.response.payload = dumps(response)
