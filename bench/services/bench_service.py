"""What `make bench` deploys. The peers do the same work in bench/peers/."""

from time import perf_counter, perf_counter_ns, sleep, thread_time

from zato.server.service import Bool, DictList, Float, Int, Service


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


class Callee(Service):
    """What `Invoker` calls: gives back what it got."""

    def handle(self):
        self.response.payload = self.request.payload


class Invoker(Service):
    """Tells how many microseconds a call of another service takes: the median of 20 rounds of 1,000 calls."""

    def handle(self):
        rounds = []
        for _ in range(20):
            began = perf_counter_ns()
            for _ in range(1000):
                self.invoke('bench-service.callee', 'x')
            rounds.append((perf_counter_ns() - began) / 1_000_000)
        self.response.payload = {'microseconds': sorted(rounds)[10]}


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


class Undeclared(Service):
    """Three values in, three out, converted by hand as far as a service would."""

    def handle(self):
        request = self.request.payload
        self.response.payload = {
            'cust_id': request['cust_id'],
            'cust_type': request['cust_type'],
            'is_active': request['is_active'],
        }


class Declared(Service):
    """The same with SimpleIO."""

    class SimpleIO:
        input = 'cust_id', 'cust_type', 'is_active'
        output = 'cust_id', 'cust_type', 'is_active'

    def handle(self):
        request = self.request.input
        response = self.response.payload
        response.cust_id = request.cust_id
        response.cust_type = request.cust_type
        response.is_active = request.is_active


class XmlDeclared(Service):
    """A list of orders in XML, back again with SimpleIO."""

    class SimpleIO:
        input = DictList('orders', Int('order_id'), 'sku', Float('price'), Bool('is_paid'))
        output = Int('order_id'), 'sku', Float('price'), Bool('is_paid')
        output_repeated = True

    def handle(self):
        self.response.payload[:] = self.request.input.orders


class XmlByHand(Service):
    """The same, with lxml."""

    def handle(self):
        # here, so that idle workers are measured without it
        from lxml import etree

        root = etree.fromstring(self.request.raw_request)
        response = etree.Element('response')
        environment = etree.SubElement(response, 'zato_env')
        etree.SubElement(environment, 'cid').text = self.cid
        etree.SubElement(environment, 'result').text = 'ZATO_OK'
        items = etree.SubElement(response, 'item_list')
        for row in root.find('orders'):
            order = {
                'is_paid': row.findtext('is_paid').lower() in {'true', 'yes', 'on', 'y', 't', '1'},
                'order_id': int(row.findtext('order_id')),
                'price': float(row.findtext('price')),
                'sku': row.findtext('sku'),
            }
            item = etree.SubElement(items, 'item')
            for name, value in order.items():
                element = etree.SubElement(item, name)
                element.text = str(value).lower() if isinstance(value, bool) else str(value)
        self.response.payload = etree.tostring(response)


class Gets(Service):
    """Gets a value of Redis over and over, and tells how often."""

    def handle(self):
        seconds, conn = self.request.payload['seconds'], self.kvdb.conn
        conn.set('bench', 'x' * 64)
        count, until = 0, perf_counter() + seconds
        while perf_counter() < until:
            for _ in range(20):
                conn.get('bench')
            count += 20
        self.response.payload = {'rate': count / seconds}
