"""What `make bench` deploys. The peers do the same work in bench/peers/."""

from time import sleep, thread_time

from zato.server.service import Service


class Bare(Service):
    """JSON in, a dictionary, JSON out."""

    def handle(self):
        request = self.request.payload
        self.response.payload = {
            'cust_id': request['cust_id'],
            'cust_type': request['cust_type'],
            'is_active': True,
        }


class Tutorial(Service):
    """The tutorial's first step: two outgoing calls."""

    def handle(self):
        request = self.request.payload
        client = self.outgoing.plain_http.get('CRM').conn.send(self.cid, request).data
        last_payment = self.outgoing.plain_http.get('Payments').conn.send(self.cid, request).data
        self.response.payload = {
            'first_name': client['firstName'],
            'last_name': client['lastName'],
            'last_payment_date': last_payment['DATE'],
            'last_payment_amount': last_payment['AMOUNT'],
        }


class Sleep(Service):
    """Blocks its thread for 50 ms in a call that busbar knows nothing of."""

    def handle(self):
        sleep(0.05)
        self.response.payload = {'slept': True}


class Burn(Service):
    """Needs 20 ms of CPU in pure Python."""

    def handle(self):
        end = thread_time() + 0.02
        rounds = 0
        while thread_time() < end:
            rounds += 1
        self.response.payload = {'rounds': rounds}
