"""Tutorial, step 1: one request becomes two calls to other systems.

The service knows its back-ends by name only. Where they are, how to log in and how long to wait is configuration.
"""

from zato.server.service import Service


class GetClientDetails(Service):
    """What the CRM and the payments system know of a client, in one answer."""

    def handle(self):
        request = self.request.payload
        self.logger.info('Request: %s', request)

        crm = self.outgoing.plain_http.get('CRM')
        payments = self.outgoing.plain_http.get('Payments')

        # answers of JSON back-ends arrive parsed
        client = crm.conn.send(self.cid, request).data
        last_payment = payments.conn.send(self.cid, request).data

        self.logger.info('Client: %s', client)
        self.logger.info('Last payment: %s', last_payment)

        self.response.payload = {
            'first_name': client['firstName'],
            'last_name': client['lastName'],
            'last_payment_date': last_payment['DATE'],
            'last_payment_amount': last_payment['AMOUNT'],
        }
