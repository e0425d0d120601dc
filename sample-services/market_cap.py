"""What a company is worth, asked of two providers: one answers in JSON, the other in XML.

The service says what its input and output are called. Whether callers speak JSON or XML is up to the channel they use.
"""

from decimal import Decimal

from lxml.objectify import fromstring

from anyjson import loads
from bunch import bunchify
from zato.server.service import Service

UNKNOWN = 'n/a'


class GetMarketCap(Service):
    """Market capitalisation of a company by its stock symbol, in billions of USD, one item for each provider."""

    class SimpleIO:
        response_elem = 'market_cap'
        input_required = ('symbol',)
        output_required = ('provider', 'value')

    def handle(self):
        symbol = self.request.input.symbol
        self.response.payload.append({'provider': 'Yahoo!', 'value': str(self.ask_yahoo(symbol))})
        self.response.payload.append({'provider': 'Google', 'value': str(self.ask_google(symbol))})

    def ask_yahoo(self, symbol):
        """Yahoo! has a query language, answers in JSON, and writes billions as ``12.3B``."""
        yahoo = self.outgoing.plain_http.get('Yahoo! YQL')
        params = {
            'q': f'select * from yahoo.finance.quotes where symbol = "{symbol}"',
            'format': 'json',
            'env': 'store://tables',
        }
        response = bunchify(loads(yahoo.conn.get(self.cid, params).text))

        quote = response.query.results.quote
        if not quote or not quote.MarketCapitalization:
            return UNKNOWN
        return Decimal(quote.MarketCapitalization.removesuffix('B'))

    def ask_google(self, symbol):
        """Google answers in XML and in millions."""
        google = self.outgoing.plain_http.get('Google Finance')
        response = fromstring(google.conn.get(self.cid, {'stock': symbol}).text)

        if not hasattr(response.finance, 'market_cap'):
            return UNKNOWN
        return Decimal(response.finance.market_cap.get('data')) / 1000
