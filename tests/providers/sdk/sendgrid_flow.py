"""SendGrid's own library for Python as a client of the simulator at SIMULATOR_URL, its answers held against SendGrid's
own OpenAPI file at SENDGRID_OPENAPI. Ends with an error where they disagree."""

import http.server
import json
import os
import threading
import time
import urllib.request

import jsonschema
from python_http_client.exceptions import HTTPError
from sendgrid import SendGridAPIClient
from sendgrid.helpers.eventwebhook import EventWebhook, EventWebhookHeader
from sendgrid.helpers.mail import Category, CustomArg, Mail, To

URL, KEY = os.environ["SIMULATOR_URL"], os.environ["SIMULATOR_KEY"]
STALE_SECONDS = 600
client = SendGridAPIClient(KEY, host=URL)

with open(os.environ["SENDGRID_OPENAPI"], encoding="utf-8") as file:
    FILE = json.load(file)
# The file says that help is an object; SendGrid answers with a link or null.
ERRORS = FILE["components"]["schemas"]["global_error_response_schema"]
ERRORS["properties"]["errors"]["items"]["properties"]["help"] = {"type": ["string", "null"]}
ERRORS["properties"]["errors"]["items"]["properties"]["field"]["type"] = ["string", "null"]
ERRORS["properties"]["errors"]["items"]["additionalProperties"] = False


def control(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{URL}/_control/{path}", data, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def same(got, wanted):
    assert got == wanted, f"{got!r} is not {wanted!r}"


def messages():
    return control("objects")["messages"]


def mail(to="ann@example.com", subject="Your order", text="Thank you."):
    built = Mail("shop@example.com", to, subject, text, "<p>Thank you.</p>")
    built.category = Category("order")
    built.custom_arg = CustomArg("order", "ord_1")
    return built


def refused(status, act):
    try:
        act()
    except HTTPError as error:
        same(error.status_code, status)
        if status != 429:
            assert str(status) in FILE["paths"]["/mail/send"]["post"]["responses"], f"the file has no {status}"
        jsonschema.validate(error.to_dict, ERRORS)
        return error
    raise AssertionError(f"{status} was to be raised")


def lost(act):
    try:
        act()
    except HTTPError as error:
        raise AssertionError(f"nothing was to be heard, not {error.status_code}") from error
    except OSError:
        return
    raise AssertionError("the connection was to break")


def a_mail_is_taken():
    answer = client.send(mail())
    same((answer.status_code, answer.body), (202, b""))
    kept = messages()[-1]
    same((kept["id"], kept["mail"]["subject"]), (answer.headers["X-Message-Id"], "Your order"))
    same((kept["mail"]["categories"], kept["mail"]["custom_args"]), (["order"], {"order": "ord_1"}))
    same([copy["email"] for copy in kept["copies"]], ["ann@example.com"])


def many_recipients():
    to = [To(f"n{n}@example.com") for n in range(1000)]
    same(client.send(Mail("shop@example.com", to, "News", "Hello.", is_multiple=True)).status_code, 202)
    same(len(messages()[-1]["copies"]), 1000)
    to.append(To("one-more@example.com"))
    error = refused(400, lambda: client.send(Mail("shop@example.com", to, "News", "Hello.", is_multiple=True)))
    same(error.to_dict["errors"][0]["field"], "personalizations")


def refusals():
    before = len(messages())
    refused(401, lambda: SendGridAPIClient("SG.other", host=URL).send(mail()))
    error = refused(400, lambda: client.send(mail("ann@example")))
    same([why["field"] for why in error.to_dict["errors"]], ["personalizations.0.to.0.email"])
    error = refused(400, lambda: client.client.mail.send.post(request_body={}))
    fields = sorted(why["field"] for why in error.to_dict["errors"])
    same(fields, ["content", "from.email", "personalizations", "subject"])
    refused(413, lambda: client.send(mail(text="x" * (30 << 20))))
    control("faults", {"next": ["rate_limited"]})
    headers = refused(429, lambda: client.send(mail())).headers
    same((headers["X-RateLimit-Limit"], headers["X-RateLimit-Remaining"]), ("600", "0"))
    assert int(headers["X-RateLimit-Reset"]) > time.time()
    same(len(messages()), before)


def a_lost_reply_may_be_a_mail():
    for fault, sent in [("lost_before", 0), ("lost_after", 1), ("error_before", 0), ("error_after", 1)]:
        before = len(messages())
        control("faults", {"next": [fault]})
        act = lambda: client.send(mail())
        lost(act) if fault.startswith("lost") else refused(500, act)
        same(len(messages()) - before, sent)
        # There is nothing by which SendGrid could know the repeat.
        act()
        same(len(messages()) - before, sent + 1)


def an_outage():
    before = len(messages())
    control("faults", {"outage": True})
    for _ in range(3):
        lost(lambda: client.send(mail()))
    control("faults", {"outage": False})
    same(client.send(mail()).status_code, 202)
    same(len(messages()) - before, 1)


class Shop(http.server.BaseHTTPRequestHandler):
    """Keeps what it hears; refuses the first so many."""

    heard, refuse = [], 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        Shop.heard.append((body, self.headers))
        self.send_response(500 if len(Shop.heard) <= Shop.refuse else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def verdict(checker, body, headers):
    timestamp = headers[EventWebhookHeader.TIMESTAMP]
    holds = checker.verify_signature(body, headers[EventWebhookHeader.SIGNATURE], timestamp)
    return holds and abs(time.time() - int(timestamp)) < STALE_SECONDS


def webhooks():
    shop = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    threading.Thread(target=shop.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{shop.server_port}/"
    control("hooks", {"url": url, "secrets": ["python"]})
    signed = client.client.user.webhooks.event.settings.signed.get().to_dict
    checker = EventWebhook(signed["public_key"])
    control("clock", {"advance_ms": 120_000})
    control("hooks/deliver", {})
    Shop.heard.clear()
    for name in ["ann", "deferred", "open", "bounce"]:
        client.send(mail(f"{name}@hooks.example"))
    control("clock", {"advance_ms": 120_000})
    same([sent["status"] for sent in control("hooks/deliver", {})["sent"]], [200] * len(Shop.heard))
    client.send(mail("bounce@hooks.example"))
    control("hooks/deliver", {})
    told = {}
    for body, headers in Shop.heard:
        assert verdict(checker, body, headers)
        for event in json.loads(body):
            same((event["order"], event["category"]), ("ord_1", ["order"]))
            told.setdefault(event["email"].split("@")[0], []).append(event["event"])
    same(told["ann"], ["processed", "delivered"])
    same(told["deferred"], ["processed", "deferred", "delivered"])
    same(told["open"], ["processed", "delivered", "open"])
    same(told["bounce"], ["processed", "bounce", "dropped"])

    # What was not taken comes again, and then every kind of disorder.
    Shop.heard.clear()
    Shop.refuse = 1
    client.send(mail())
    same([sent["status"] for sent in control("hooks/deliver", {})["sent"]], [500])
    same([sent["status"] for sent in control("hooks/deliver", {})["sent"]], [200])
    same(Shop.heard[0][0], Shop.heard[1][0])
    Shop.refuse = 0
    control("clock", {"advance_ms": 120_000})
    control("hooks/deliver", {})
    Shop.heard.clear()
    disorder = {"duplicates": 50, "reordered": 50, "late": 10, "forged": 50}
    control("hooks", {"url": url, "secrets": ["python"], "disorder": disorder})
    for _ in range(40):
        client.send(mail())
    control("clock", {"advance_ms": 120_000})
    sent = control("hooks/deliver", {})["sent"]
    same([verdict(checker, *heard) for heard in Shop.heard], [not each["forged"] for each in sent])
    genuine = [each["id"] for each in sent if not each["forged"]]
    assert len(set(genuine)) < len(genuine) < len(sent), "some came twice, and some were forged"
    assert genuine != sorted(genuine), "some came out of order"
    control("hooks", {"url": None})
    shop.shutdown()
    print(f"  {len(genuine)} webhooks believed, {len(sent) - len(genuine)} not")


for scenario in [a_mail_is_taken, many_recipients, refusals, a_lost_reply_may_be_a_mail, an_outage, webhooks]:
    scenario()
    print(f"ok: {scenario.__name__}")
