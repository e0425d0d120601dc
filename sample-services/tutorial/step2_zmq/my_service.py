"""Tutorial, step 2: some requests are reported to fraud detection, over ZeroMQ and without waiting for anybody.

Copy this file over the one of step 1 in the pickup directory: the next request is answered by this code.
"""

from datetime import UTC, datetime
from json import dumps

from zato.server.service import Service


class GetClientDetails(Service):
    """What the CRM and the payments system know of a client, in one answer."""

    def should_notify_frauds(self, client_type):
        return client_type in ('A', 'B', 'C')

    def handle(self):
        request = self.request.payload
        self.logger.info('Request: %s', request)

        crm = self.outgoing.plain_http.get('CRM')
        payments = self.outgoing.plain_http.get('Payments')

        # answers of JSON back-ends arrive parsed
        client = crm.conn.send(self.cid, request).data
        last_payment = payments.conn.send(self.cid, request).data

        response = {
            'first_name': client['firstName'],
            'last_name': client['lastName'],
            'last_payment_date': last_payment['DATE'],
            'last_payment_amount': last_payment['AMOUNT'],
        }

        if self.should_notify_frauds(request['cust_type']):
            report = {
                'timestamp': datetime.now(UTC).isoformat(),
                'request': request,
                'response': response,
            }
            # returns at once, whether fraud detection runs or not
            self.outgoing.zmq.send(dumps(report), 'Fraud detection')
        else:
            self.logger.info('No report to fraud detection for CID %s', self.cid)

        self.response.payload = response
