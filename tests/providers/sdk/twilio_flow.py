"""Twilio's own library for Python as a client of the simulator at SIMULATOR_URL, its answers held against Twilio's own
OpenAPI file at TWILIO_OPENAPI. Ends with an error where they disagree."""

import http.server
import json
import os
import threading
import urllib.parse
import urllib.request

from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

import openapi_file

URL, (SID, TOKEN) = os.environ["SIMULATOR_URL"], os.environ["SIMULATOR_KEY"].split(":")
FROM, SERVICE = "+15005550006", "MG00000000000000000000000000000001"
answers = openapi_file.File(os.environ["TWILIO_OPENAPI"])


class Checked(TwilioHttpClient):
    """A client of HTTP that goes to the simulator, and fails when an answer is not as the file says."""

    def request(self, method, url, *rest, **more):
        answer = super().request(method, url.replace("https://api.twilio.com", URL), *rest, **more)
        # The file has the answers to what went well alone.
        if answer.status_code < 400:
            answers.check(method.lower(), url, answer.status_code, answer.text)
        return answer


client = Client(SID, TOKEN, http_client=Checked())


def control(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{URL}/_control/{path}", data, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def same(got, wanted):
    assert got == wanted, f"{got!r} is not {wanted!r}"


def messages():
    return control("objects")["messages"]


def text(to="+14155550100", **fields):
    return client.messages.create(to=to, body="Shipped.", **({"from_": FROM} | fields))


def refused(status, code, act):
    try:
        act()
    except TwilioRestException as error:
        same((error.status, error.code), (status, code))
        return
    raise AssertionError(f"{code} was to be raised")


def lost(act):
    try:
        act()
    except TwilioRestException as error:
        raise AssertionError(f"nothing was to be heard, not {error.status}") from error
    except OSError:
        return
    raise AssertionError("the connection was to break")


def a_message_arrives():
    made = text()
    same((made.status, made.direction, made.num_segments), ("queued", "outbound-api", "1"))
    control("clock", {"advance_ms": 60_000})
    read = client.messages(made.sid).fetch()
    same((read.status, read.error_code, read.body, read.from_), ("delivered", None, "Shipped.", FROM))
    assert read.date_sent >= made.date_created
    same(text(from_=None, messaging_service_sid=SERVICE).status, "accepted")
    unreachable = text("+14155530003")
    control("clock", {"advance_ms": 60_000})
    read = unreachable.fetch()
    same((read.status, read.error_code), ("undelivered", 30003))


def refusals():
    before = len(messages())
    refused(401, 20003, lambda: Client(SID, "other", http_client=Checked()).messages.create(to="+1", from_=FROM, body="x"))
    for to, code in [("14155550100", 21211), ("+15005550001", 21211), ("+15005550004", 21610), ("+15005550009", 21614)]:
        refused(400, code, lambda: text(to))
    refused(400, 21212, lambda: text(from_="+15005550001"))
    refused(400, 21603, lambda: text(from_=None))
    refused(400, 21617, lambda: client.messages.create(to="+14155550100", from_=FROM, body="x" * 1_601))
    refused(404, 20404, lambda: client.messages("SM00000000000000000000000000000000").fetch())
    control("faults", {"next": ["rate_limited"]})
    refused(429, 20429, text)
    same(len(messages()), before)


def a_lost_reply_may_be_a_message():
    for fault, sent in [("lost_before", 0), ("lost_after", 1), ("error_before", 0), ("error_after", 1)]:
        before = len(messages())
        control("faults", {"next": [fault]})
        lost(text) if fault.startswith("lost") else refused(500, 20500, text)
        same(len(messages()) - before, sent)
        # There is nothing by which Twilio could know the repeat.
        text()
        same(len(messages()) - before, sent + 1)


def an_outage():
    before = len(messages())
    control("faults", {"outage": True})
    for _ in range(3):
        lost(text)
        lost(lambda: client.messages.list(limit=1))
    control("faults", {"outage": False})
    same(len(messages()), before)


def pages():
    to = "+14155550155"
    made = [text(to).sid for _ in range(7)]
    same([each.sid for each in client.messages.list(to=to, page_size=3)], made[::-1])
    same(len(client.messages.list(to=to, limit=4)), 4)


class Shop(http.server.BaseHTTPRequestHandler):
    """Keeps what it hears."""

    heard = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        Shop.heard.append((dict(urllib.parse.parse_qsl(body)), self.headers["X-Twilio-Signature"]))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def callbacks():
    shop = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    threading.Thread(target=shop.serve_forever, daemon=True).start()
    url, validator = f"http://127.0.0.1:{shop.server_port}/sms?order=1", RequestValidator(TOKEN)
    control("hooks", {"secrets": [TOKEN]})
    made = text(status_callback=url)
    control("clock", {"advance_ms": 60_000})
    same([sent["status"] for sent in control("hooks/deliver", {})["sent"]], [204, 204])
    assert all(validator.validate(url, *heard) for heard in Shop.heard)
    told = [(params["MessageSid"], params["MessageStatus"]) for params, _ in Shop.heard]
    same(told, [(made.sid, "sent"), (made.sid, "delivered")])

    Shop.heard.clear()
    disorder = {"duplicates": 50, "reordered": 50, "late": 10, "forged": 50}
    control("hooks", {"secrets": [TOKEN], "disorder": disorder})
    for _ in range(40):
        text(status_callback=url)
    control("clock", {"advance_ms": 60_000})
    sent = control("hooks/deliver", {})["sent"]
    same([validator.validate(url, *heard) for heard in Shop.heard], [not each["forged"] for each in sent])
    genuine = sum(not each["forged"] for each in sent)
    assert 80 < genuine < len(sent), "some came twice, and some were forged"
    control("hooks", {"secrets": [TOKEN]})
    shop.shutdown()
    print(f"  {genuine} callbacks believed, {len(sent) - genuine} not")


for scenario in [a_message_arrives, refusals, a_lost_reply_may_be_a_message, an_outage, pages, callbacks]:
    scenario()
    print(f"ok: {scenario.__name__}")
print(f"{answers.checked} answers are as Twilio's file says")
