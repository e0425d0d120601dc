"""Opens a page in Chromium without a window, runs a script in it, and prints what that gives as JSON.

    browser.py CHROMIUM URL SCRIPT [SCREENSHOT.png]

Talks to the browser through two pipes, in the protocol of its developer tools. What the page logs as an error, or
throws, is printed on standard error, and ends it with 1.
"""

import base64
import json
import os
import select
import subprocess
import sys
import tempfile
import time

LIMIT = 60


class Browser:
    """A browser, and one page in it."""

    def __init__(self, program, profile):
        reads, self.requests = os.pipe()
        self.answers, writes = os.pipe()
        # the browser expects the pipes as 3 and 4
        arguments = [
            '--headless',
            '--no-sandbox',
            '--disable-gpu',
            '--remote-debugging-pipe',
            f'--user-data-dir={profile}',
        ]
        command = f'exec "$0" "$@" 3<&{reads} 4>&{writes}'
        self.process = subprocess.Popen(
            ['sh', '-c', command, program, *arguments, 'about:blank'],
            pass_fds=(reads, writes),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(reads)
        os.close(writes)
        self.number = 0
        self.rest = b''
        self.complaints = []
        self.session = None
        target = self.ask('Target.createTarget', url='about:blank')['targetId']
        self.session = self.ask('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        for domain in 'Page', 'Runtime', 'Log':
            self.ask(f'{domain}.enable')

    def ask(self, method, **params):
        """Asks something of the browser and waits for the answer."""
        self.number += 1
        message = {'id': self.number, 'method': method, 'params': params}
        if self.session:
            message['sessionId'] = self.session
        os.write(self.requests, json.dumps(message).encode() + b'\0')
        while True:
            answer = self.read()
            if answer.get('id') == self.number:
                if 'error' in answer:
                    raise RuntimeError(f'{method}: {answer["error"]}')
                return answer['result']

    def read(self):
        """Reads one message; notes what the page complains of."""
        deadline = time.monotonic() + LIMIT
        while b'\0' not in self.rest:
            if not select.select([self.answers], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError('the browser does not answer')
            data = os.read(self.answers, 1 << 16)
            if not data:
                raise EOFError('the browser has ended')
            self.rest += data
        text, _, self.rest = self.rest.partition(b'\0')
        message = json.loads(text)
        if message.get('method') == 'Runtime.exceptionThrown':
            self.complaints.append(message['params']['exceptionDetails'])
        elif message.get('method') == 'Log.entryAdded' and message['params']['entry']['level'] == 'error':
            self.complaints.append(message['params']['entry'])
        return message

    def open(self, url):
        """Opens a page and waits until it is there."""
        self.ask('Page.navigate', url=url)
        while self.read().get('method') != 'Page.loadEventFired':
            pass

    def run(self, script):
        """Runs a script, which may be asynchronous, and gives back what it returns."""
        expression = f'(async () => {{ {script} }})()'
        result = self.ask('Runtime.evaluate', expression=expression, awaitPromise=True, returnByValue=True)
        if 'exceptionDetails' in result:
            raise RuntimeError(json.dumps(result['exceptionDetails']))
        return result['result'].get('value')

    def shoot(self, file):
        """Takes a picture of the whole page."""
        size = self.ask('Page.getLayoutMetrics')['cssContentSize']
        clip = {'x': 0, 'y': 0, 'width': 1100, 'height': min(size['height'], 3000), 'scale': 1}
        self.ask('Emulation.setDeviceMetricsOverride', width=1100, height=900, deviceScaleFactor=1, mobile=False)
        shot = self.ask('Page.captureScreenshot', clip=clip, captureBeyondViewport=True)
        with open(file, 'wb') as picture:
            picture.write(base64.b64decode(shot['data']))

    def close(self):
        """Ends it."""
        self.process.kill()
        self.process.wait()


def main(program, url, script, picture=None):
    """Runs the command, and returns its exit code."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(program, profile)
        try:
            browser.open(url)
            print(json.dumps(browser.run(script)))
            if picture:
                browser.shoot(picture)
        finally:
            browser.close()
    for complaint in browser.complaints:
        print(json.dumps(complaint), file=sys.stderr)
    return 1 if browser.complaints else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
