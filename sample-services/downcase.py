"""A microservice: answers in lower case, and publishes what it answered to whoever has subscribed.

Listen with ``backends/subscriber.py``, then::

    curl 'localhost:11223/downcase/?param=ABC'
"""

from zato.common.exception import BadRequest
from zato.server.service import Service


class Downcase(Service):
    """Makes the query parameter ``param`` lower case and publishes the outcome over ZeroMQ."""

    def handle(self):
        text = self.request.http.GET.get('param')
        if not isinstance(text, str):
            raise BadRequest(self.cid, 'Give one parameter: /downcase/?param=ABC', needs_msg=True)

        answer = f'lower case of {text} is {text.lower()}'

        # subscribers that are not there yet miss it, nobody waits for them
        self.outgoing.zmq.send(answer, 'Downcased')
        self.response.payload = answer
