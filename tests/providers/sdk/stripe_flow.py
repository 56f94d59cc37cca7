"""Stripe's own library for Python as a client of the simulator at SIMULATOR_URL. Ends with an error where they disagree."""

import http.server
import json
import os
import threading
import urllib.parse
import urllib.request

import stripe

import openapi_file

URL = os.environ["SIMULATOR_URL"]
SECRETS = ["whsec_python_old", "whsec_python_new"]
answers = openapi_file.File(os.environ["STRIPE_OPENAPI"])
# Newer than the file, and in what Stripe documents of the version that the connector asks for.
answers.schemas["payment_method_details_card"]["properties"]["capture_before"] = {"type": "integer"}


class Checked(stripe.RequestsClient):
    """A client of HTTP that fails when an answer is not as the file says."""

    name = "checked"

    def request(self, method, url, headers, post_data=None):
        answer, status, answered = super().request(method, url, headers, post_data)
        answers.check(method, url, status, answer)
        return answer, status, answered


client = stripe.StripeClient(
    os.environ["SIMULATOR_KEY"], base_addresses={"api": URL}, max_network_retries=0, http_client=Checked()
)
intents, refunds = client.v1.payment_intents, client.v1.refunds


def control(path, body):
    request = urllib.request.Request(
        f"{URL}/_control/{path}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def pay(method="pm_card_visa", key=None, **params):
    asked = {
        "amount": 2000,
        "currency": "usd",
        "confirm": True,
        "payment_method": method,
        "payment_method_types": ["card"],
        "return_url": "https://shop.example/back?order=1",
        "metadata": {"order": "ord_1"},
        "expand": ["latest_charge"],
        **params,
    }
    return intents.create(asked, {"idempotency_key": key} if key else {})


def refused(kind, act):
    try:
        act()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was to be raised")


def same(got, wanted):
    assert got == wanted, f"{got!r} is not {wanted!r}"


def create_and_confirm():
    paid = pay()
    same((paid.status, paid.amount_received, paid.livemode), ("succeeded", 2000, False))
    same((paid.latest_charge.amount_captured, paid.metadata["order"]), (2000, "ord_1"))
    same(intents.retrieve(paid.id).latest_charge, paid.latest_charge.id)
    opened = intents.create({"amount": 500, "currency": "eur", "payment_method_types": ["card"]})
    same(opened.status, "requires_payment_method")
    same(intents.confirm(opened.id, {"payment_method": "pm_card_visa"}).status, "succeeded")


def capture():
    held = pay(capture_method="manual")
    same((held.status, held.amount_capturable), ("requires_capture", 2000))
    same(intents.capture(held.id).amount_received, 2000)
    held = pay(capture_method="manual")
    taken = intents.capture(held.id, {"amount_to_capture": 1500, "expand": ["latest_charge"]})
    same((taken.status, taken.amount_received, taken.latest_charge.amount_refunded), ("succeeded", 1500, 500))
    rest = refunds.list({"payment_intent": held.id}).data
    same([(refund.amount, refund.balance_transaction) for refund in rest], [(500, None)])
    error = refused(stripe.InvalidRequestError, lambda: intents.capture(held.id))
    same((error.http_status, error.code), (400, "payment_intent_unexpected_state"))


def cancel():
    held = pay(capture_method="manual")
    gone = intents.cancel(held.id, {"cancellation_reason": "abandoned"})
    same((gone.status, gone.amount_capturable, gone.cancellation_reason), ("canceled", 0, "abandoned"))
    refused(stripe.InvalidRequestError, lambda: intents.cancel(held.id))


def refund():
    paid = pay()
    first = refunds.create({"payment_intent": paid.id, "amount": 700, "metadata": {"command": "cmd_1"}})
    same((first.status, first.amount, first.payment_intent), ("succeeded", 700, paid.id))
    error = refused(stripe.InvalidRequestError, lambda: refunds.create({"payment_intent": paid.id, "amount": 1301}))
    same((error.http_status, error.param), (400, "amount"))
    same(refunds.create({"payment_intent": paid.id}).amount, 1300)
    error = refused(stripe.InvalidRequestError, lambda: refunds.create({"payment_intent": paid.id}))
    same(error.code, "charge_already_refunded")
    same(refunds.retrieve(first.id).metadata["command"], "cmd_1")
    same(intents.retrieve(paid.id, {"expand": ["latest_charge"]}).latest_charge.refunded, True)


def over_refund():
    paid = pay()
    control("faults", {"over_refunds": True})
    same(refunds.create({"payment_intent": paid.id, "amount": 5000}).amount, 5000)
    control("faults", {"over_refunds": False})


def decline():
    for method, code, decline_code in [
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
    ]:
        error = refused(stripe.CardError, lambda: pay(method))
        same((error.http_status, error.code, error.error.decline_code), (402, code, decline_code))
        same(error.error.payment_intent.status, "requires_payment_method")
        left = intents.retrieve(error.error.payment_intent.id)
        same((left.status, left.last_payment_error.code), ("requires_payment_method", code))
    error = refused(stripe.InvalidRequestError, lambda: pay("pm_card_unheard"))
    same((error.code, error.param), ("resource_missing", "payment_method"))


def three_d_secure():
    for choice, status, told in [
        ("approves", "requires_capture", "succeeded"),
        ("refuses", "requires_payment_method", "failed"),
    ]:
        asked = pay("pm_card_authenticationRequired", capture_method="manual")
        same((asked.status, asked.next_action.type), ("requires_action", "redirect_to_url"))
        page = asked.next_action.redirect_to_url.url
        with urllib.request.urlopen(page) as answer:
            same((answer.status, b"Approve" in answer.read()), (200, True))
        back = location(page, f"shopper={choice}")
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(back).query)
        same((query["order"], query["payment_intent"], query["redirect_status"]), (["1"], [asked.id], [told]))
        same(intents.retrieve(asked.id).status, status)
    same(intents.retrieve(asked.id).last_payment_error.code, "payment_intent_authentication_failure")


def location(page, form):
    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    try:
        urllib.request.build_opener(Stay).open(page, form.encode())
    except urllib.error.HTTPError as answer:
        same(answer.code, 303)
        return answer.headers["location"]
    raise AssertionError("the page sends the shopper back")


def idempotency():
    first = pay(key="python-1")
    again = pay(key="python-1")
    same((again.id, again.last_response.headers["idempotent-replayed"]), (first.id, "true"))
    error = refused(stripe.IdempotencyError, lambda: pay(key="python-1", amount=2001))
    same(error.http_status, 400)
    for fault in ["error_before", "error_after"]:
        control("faults", {"next": [fault]})
        refused(stripe.APIError, lambda: pay(key=fault))
        error = refused(stripe.APIError, lambda: pay(key=fault))
        same((error.http_status, error.headers["idempotent-replayed"]), (500, "true"))
    control("faults", {"next": ["lost_after"]})
    before = intents.list({"limit": 1}).data[0].id
    refused(stripe.APIConnectionError, lambda: pay(key="python-lost"))
    made = intents.list({"limit": 1}).data[0].id
    assert made != before
    same(pay(key="python-lost").id, made)
    control("faults", {"next": ["lost_before"]})
    refused(stripe.APIConnectionError, lambda: pay(key="python-never"))
    same(intents.list({"limit": 1}).data[0].id, made)
    control("clock", {"advance_ms": 24 * 3600 * 1000})
    assert pay(key="python-1").id != first.id, "the key was forgotten after a day"


def retries():
    patient = stripe.StripeClient(client._requestor.api_key, base_addresses={"api": URL}, max_network_retries=2)
    control("faults", {"next": ["lost_after", "key_in_use"]})
    before = {intent.id for intent in intents.list({"limit": 100}).data}
    paid = patient.v1.payment_intents.create({"amount": 900, "currency": "usd", "payment_method_types": ["card"]})
    after = {intent.id for intent in intents.list({"limit": 100}).data}
    same(after - before, {paid.id})
    control("faults", {"next": ["rate_limited"]})
    refused(stripe.RateLimitError, lambda: pay())


def holds_end():
    held = pay(capture_method="manual")
    before = held.latest_charge.payment_method_details.card.capture_before
    same(before, held.created + 7 * 24 * 3600)
    control("clock", {"advance_ms": 7 * 24 * 3600 * 1000})
    gone = intents.retrieve(held.id)
    same((gone.status, gone.cancellation_reason), ("canceled", "automatic"))


def lists():
    made = [pay(metadata={"n": str(n)}).id for n in range(5)]
    page = intents.list({"limit": 2})
    same(([intent.id for intent in page.data], page.has_more), ([made[4], made[3]], True))
    walked = [intent.id for _, intent in zip(range(5), page.auto_paging_iter())]
    same(walked, made[::-1])
    second = intents.retrieve(made[0]).created
    found = intents.list({"created": {"gte": second}, "limit": 100, "expand": ["data.latest_charge"]})
    same({intent.id for intent in found.data} >= set(made), True)
    same(found.data[0].latest_charge.object, "charge")
    same(intents.list({"created": {"lt": second}, "limit": 1}).data[0].created < second, True)
    for amount in [100, 200, 300]:
        refunds.create({"payment_intent": made[0], "amount": amount})
    of = refunds.list({"payment_intent": made[0], "limit": 1})
    same([refund.amount for refund in of.auto_paging_iter()], [300, 200, 100])


def webhooks():
    heard = []

    class Shop(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            heard.append((body, self.headers["stripe-signature"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    shop = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    threading.Thread(target=shop.serve_forever, daemon=True).start()
    everything = {"duplicates": 50, "reordered": 50, "late": 20, "forged": 50}
    url = f"http://127.0.0.1:{shop.server_port}/"
    control("hooks", {"url": url})
    control("hooks/deliver", {})
    heard.clear()
    control("hooks", {"url": url, "secrets": SECRETS, "disorder": everything})
    for _ in range(20):
        paid = pay(capture_method="manual")
        intents.capture(paid.id, {"amount_to_capture": 1500})
        refunds.create({"payment_intent": paid.id, "amount": 100})
    sent = control("hooks/deliver", {})["sent"]
    same(len(sent), len(heard))
    ids, believed = set(), 0
    for told, (body, signature) in zip(sent, heard):
        verdicts = []
        for secret in SECRETS:
            try:
                event = stripe.Webhook.construct_event(body, signature, secret)
                same(event.id, told["id"])
                verdicts.append(True)
            except stripe.SignatureVerificationError:
                verdicts.append(False)
        same(verdicts, [not told["forged"]] * len(SECRETS))
        believed += not told["forged"]
        if not told["forged"]:
            ids.add(told["id"])
    # Six for each payment: made, held, let go of the rest, taken, given back twice told.
    same(len(ids), 20 * 6)
    assert believed > len(ids) and believed < len(sent), "some came twice, and some were forged"
    control("hooks", {"url": None})
    print(f"  {believed} webhooks believed, {len(sent) - believed} not")


for scenario in [
    create_and_confirm, capture, cancel, refund, over_refund, decline, three_d_secure, idempotency, retries,
    holds_end, lists, webhooks,
]:
    scenario()
    print(f"ok: {scenario.__name__}")

assert answers.checked > 100, f"{answers.checked} answers"
print(f"{answers.checked} answers are as Stripe's own file says")
