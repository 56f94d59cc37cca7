"""PayPal's own library for Python as a client of the simulator at SIMULATOR_URL. Ends with an error where they disagree."""

import base64
import http.client
import http.server
import json
import os
import threading
import urllib.parse
import urllib.request

from paypalserversdk.configuration import Configuration, Environment, Server
from paypalserversdk.exceptions.api_exception import ApiException
from paypalserversdk.exceptions.error_exception import ErrorException
from paypalserversdk.exceptions.o_auth_provider_exception import OAuthProviderException
from paypalserversdk.http.auth.o_auth_2 import ClientCredentialsAuthCredentials
from paypalserversdk.paypal_serversdk_client import PaypalServersdkClient

URL = os.environ["SIMULATOR_URL"]
CLIENT_ID, SECRET = os.environ["SIMULATOR_KEY"].split(":")
DAY_MS = 24 * 3600 * 1000
ALL = "return=representation"
Configuration.environments[Environment.SANDBOX] = {Server.DEFAULT: URL}


def client_with(secret):
    credentials = ClientCredentialsAuthCredentials(CLIENT_ID, secret)
    return PaypalServersdkClient(client_credentials_auth_credentials=credentials, environment=Environment.SANDBOX)


client = client_with(SECRET)
orders, payments = client.orders, client.payments


def control(path, body):
    request = urllib.request.Request(
        f"{URL}/_control/{path}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def advance(ms):
    while ms > 0:
        control("clock", {"advance_ms": min(ms, DAY_MS * 30)})
        ms -= DAY_MS * 30
    # The library looks at the machine's clock alone, and would use the old token.
    global client, orders, payments
    client = client_with(SECRET)
    orders, payments = client.orders, client.payments


def refused(status, issue, act):
    try:
        act()
    except ErrorException as error:
        same((error.response.status_code, error.details[0].issue), (status, issue))
        assert error.debug_id and error.name and error.message
        return error
    raise AssertionError(f"{issue} was to be raised")


def same(got, wanted):
    assert got == wanted, f"{got!r} is not {wanted!r}"


def money(value, currency="USD"):
    return {"currency_code": currency, "value": value}


def create(intent="CAPTURE", value="20.00", key=None, invoice=None, currency="USD"):
    unit = {"amount": money(value, currency), "custom_id": "pay_1", "invoice_id": invoice}
    back = {"return_url": "https://shop.example/back?order=1", "cancel_url": "https://shop.example/cart"}
    body = {
        "intent": intent,
        "purchase_units": [{name: field for name, field in unit.items() if field}],
        "payment_source": {"paypal": {"experience_context": {**back, "user_action": "PAY_NOW"}}},
    }
    return orders.create_order({"body": body, "paypal_request_id": key or fresh(), "prefer": ALL}).body


def fresh():
    fresh.count += 1
    return f"python-{fresh.count}"


fresh.count = 0


def link(thing, rel):
    return next(link.href for link in thing.links if link.rel == rel)


def decide(order, form):
    """What the shopper's browser does at the page; answers where it is sent."""
    page = link(orders.get_order({"id": order.id}).body, "payer-action")
    with urllib.request.urlopen(page) as answer:
        text = answer.read().decode()
    name, value = (form.split("=") + [""])[:2]
    assert f'name="{name}" value="{value}"' in text or (name == "cancel" and 'name="cancel"' in text), text
    parts = urllib.parse.urlsplit(page)
    bank = http.client.HTTPConnection(parts.netloc)
    bank.request("POST", f"{parts.path}?{parts.query}", form)
    answer = bank.getresponse()
    same(answer.status, 303)
    return answer.headers["location"]


def approved(intent="CAPTURE", instrument="balance", **asked):
    order = create(intent, **asked)
    decide(order, f"approve={instrument}")
    return order


def held(instrument="balance", **asked):
    order = approved("AUTHORIZE", instrument, **asked)
    done = orders.authorize_order({"id": order.id, "paypal_request_id": fresh()}).body
    return done.purchase_units[0].payments.authorizations[0]


def taken(instrument="balance", **asked):
    order = approved("CAPTURE", instrument, **asked)
    done = orders.capture_order({"id": order.id, "paypal_request_id": fresh()}).body
    return done.purchase_units[0].payments.captures[0]


def capture(authorization, value=None, key=None, **fields):
    body = {**({"amount": money(value)} if value else {}), **fields}
    asked = {"authorization_id": authorization.id, "paypal_request_id": key or fresh(), "prefer": ALL, "body": body}
    return payments.capture_authorized_payment(asked).body


def refund(capture, value=None, key=None, **fields):
    body = {**({"amount": money(value)} if value else {}), **fields}
    asked = {"capture_id": capture.id, "paypal_request_id": key or fresh(), "prefer": ALL, "body": body}
    return payments.refund_captured_payment(asked).body


def read(capture):
    return payments.get_captured_payment({"capture_id": capture.id}).body


def hold(authorization):
    return payments.get_authorized_payment({"authorization_id": authorization.id}).body


def strangers():
    try:
        client_with("wrong").oauth_2.fetch_token()
    except OAuthProviderException as error:
        same(error.response.status_code, 401)
    else:
        raise AssertionError("a stranger gets no token")


def capture_at_once():
    order = create()
    same((order.status, order.intent), ("PAYER_ACTION_REQUIRED", "CAPTURE"))
    refused(422, "ORDER_NOT_APPROVED", lambda: orders.capture_order({"id": order.id}))
    back = decide(order, "approve=balance")
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(back).query)
    same((query["order"], query["token"], "PayerID" in query), (["1"], [order.id], True))
    same(orders.get_order({"id": order.id}).body.status, "APPROVED")
    refused(422, "ACTION_DOES_NOT_MATCH_INTENT", lambda: orders.authorize_order({"id": order.id}))
    answer = orders.capture_order({"id": order.id, "paypal_request_id": fresh()})
    same((answer.status_code, answer.body.status), (201, "COMPLETED"))
    got = answer.body.purchase_units[0].payments.captures[0]
    same((got.status, got.amount.value, got.custom_id, got.final_capture), ("COMPLETED", "20.00", "pay_1", True))
    refused(422, "ORDER_ALREADY_CAPTURED", lambda: orders.capture_order({"id": order.id, "paypal_request_id": fresh()}))
    same(orders.get_order({"id": order.id}).body.purchase_units[0].custom_id, "pay_1")


def cancel():
    order = create()
    same(decide(order, "cancel="), f"https://shop.example/cart?token={order.id}")
    same(orders.get_order({"id": order.id}).body.status, "PAYER_ACTION_REQUIRED")
    advance(3 * 3600 * 1000)
    refused(404, "INVALID_RESOURCE_ID", lambda: orders.get_order({"id": order.id}))


def decline():
    order = approved(instrument="declined")
    asked = {"id": order.id, "paypal_request_id": fresh()}
    error = refused(422, "INSTRUMENT_DECLINED", lambda: orders.capture_order(asked))
    page = next(link.href for link in error.links if link.rel == "redirect")
    urllib.request.urlopen(page).close()
    bank = urllib.parse.urlsplit(page)
    connection = http.client.HTTPConnection(bank.netloc)
    connection.request("POST", f"{bank.path}?{bank.query}", "approve=balance")
    same(connection.getresponse().status, 303)
    same(orders.capture_order(asked).body.status, "COMPLETED")


def partial_captures():
    authorization = held()
    same((authorization.status, authorization.amount.value), ("CREATED", "20.00"))
    first = capture(authorization, "5.00")
    same((first.status, first.custom_id), ("COMPLETED", "pay_1"))
    same(first.supplementary_data.related_ids.authorization_id, authorization.id)
    same(hold(authorization).status, "PARTIALLY_CAPTURED")
    refused(422, "MAX_CAPTURE_AMOUNT_EXCEEDED", lambda: capture(authorization, "18.01"))
    same(capture(authorization, "5.00", final_capture=True).final_capture, True)
    same(hold(authorization).status, "CAPTURED")
    refused(422, "AUTHORIZATION_ALREADY_CAPTURED", lambda: capture(authorization, "1.00"))
    refused(422, "PREVIOUSLY_CAPTURED", lambda: void(authorization))


def void(authorization, key=None, prefer=None):
    asked = {"authorization_id": authorization.id, "paypal_request_id": key or fresh(), "prefer": prefer}
    return payments.void_payment(asked)


def voids():
    authorization = held()
    key = fresh()
    same(void(authorization, key).status_code, 204)
    same(hold(authorization).status, "VOIDED")
    same(void(authorization, key, ALL).body.status, "VOIDED")
    refused(422, "PREVIOUSLY_VOIDED", lambda: void(authorization))
    refused(422, "AUTHORIZATION_VOIDED", lambda: capture(authorization, "1.00"))


def refunds():
    paid = taken()
    first = refund(paid, "7.00", custom_id="cmd_1", note_to_payer="sorry")
    same((first.status, first.amount.value, first.custom_id), ("COMPLETED", "7.00", "cmd_1"))
    same(read(paid).status, "PARTIALLY_REFUNDED")
    refused(422, "REFUND_AMOUNT_EXCEEDED", lambda: refund(paid, "13.01"))
    same(refund(paid).amount.value, "13.00")
    refused(422, "CAPTURE_FULLY_REFUNDED", lambda: refund(paid, "0.01"))
    same(read(paid).status, "REFUNDED")
    same(payments.get_refund({"refund_id": first.id}).body.custom_id, "cmd_1")
    old = taken()
    advance(180 * DAY_MS)
    refused(422, "REFUND_TIME_LIMIT_EXCEEDED", lambda: refund(old))


def over_refund():
    paid = taken()
    control("faults", {"over_refunds": True})
    same(refund(paid, "50.00").amount.value, "50.00")
    control("faults", {"over_refunds": False})


def reviews():
    for instrument, capture_becomes, hold_becomes in [
        ("reviewed", "COMPLETED", "CREATED"),
        ("rejected", "DECLINED", "DENIED"),
    ]:
        paid, authorization = taken(instrument), held(instrument)
        same((paid.status, paid.status_details.reason), ("PENDING", "PENDING_REVIEW"))
        same((authorization.status, authorization.status_details.reason), ("PENDING", "PENDING_REVIEW"))
        refused(422, "PENDING_CAPTURE", lambda: refund(paid))
        control("clock", {"advance_ms": 60_000})
        same((read(paid).status, hold(authorization).status), (capture_becomes, hold_becomes))
    refused(422, "REFUND_NOT_ALLOWED", lambda: refund(paid))
    refused(422, "AUTHORIZATION_DENIED", lambda: capture(authorization))
    for instrument, becomes, left in [("reviewed", "COMPLETED", "REFUNDED"), ("closed", "FAILED", "COMPLETED")]:
        paid = taken(instrument)
        control("clock", {"advance_ms": 60_000})
        given = refund(paid)
        same((given.status, read(paid).status), ("PENDING", "REFUNDED"))
        control("clock", {"advance_ms": 60_000})
        same((payments.get_refund({"refund_id": given.id}).body.status, read(paid).status), (becomes, left))


def honor_and_expiry():
    good, fleeting = held(), held("fleeting")

    def again(authorization):
        asked = {"authorization_id": authorization.id, "paypal_request_id": fresh(), "prefer": ALL}
        return payments.reauthorize_payment(asked).body

    refused(422, "REAUTHORIZATION_TOO_SOON", lambda: again(good))
    advance(3 * DAY_MS)
    renewed = again(good)
    assert renewed.id != good.id
    same((renewed.status, renewed.expiration_time), ("CREATED", hold(good).expiration_time))
    refused(422, "REAUTHORIZATION_NOT_SUPPORTED", lambda: again(renewed))
    refused(422, "CANNOT_BE_VOIDED", lambda: void(renewed))
    refused(422, "PAYER_CANNOT_PAY", lambda: capture(fleeting))
    same(capture(renewed, "4.00").status, "COMPLETED")
    same((hold(good).status, hold(renewed).status), ("PARTIALLY_CAPTURED", "PARTIALLY_CAPTURED"))
    advance(26 * DAY_MS)
    same(hold(good).status, "VOIDED")
    refused(422, "AUTHORIZATION_EXPIRED", lambda: capture(good))


def request_ids():
    first = create(key="same")
    again = orders.create_order({"body": {"intent": "CAPTURE", "purchase_units": [{"amount": money("1.00")}]},
                                 "paypal_request_id": "same"})
    same((again.status_code, again.body.id), (200, first.id))
    decide(first, "approve=balance")
    late = orders.create_order({"body": {"intent": "CAPTURE", "purchase_units": [{"amount": money("1.00")}]},
                                "paypal_request_id": "same"})
    same(late.body.status, "APPROVED")
    done = orders.capture_order({"id": first.id, "paypal_request_id": "same"}).body
    paid = done.purchase_units[0].payments.captures[0]
    given = refund(paid, "1.00", key="back")
    same(refund(paid, "1.00", key="back").id, given.id)
    advance(6 * 3600 * 1000)
    assert create(key="same").id != first.id, "it was forgotten after six hours"
    refused(422, "ORDER_ALREADY_CAPTURED", lambda: orders.capture_order({"id": first.id, "paypal_request_id": "same"}))
    advance(44 * DAY_MS)
    same(refund(paid, "1.00", key="back").id, given.id)
    advance(DAY_MS)
    assert refund(paid, "1.00", key="back").id != given.id, "it was forgotten after 45 days"


def faults():
    for fault, made, repeated in [("error_before", 0, 201), ("error_after", 1, 200)]:
        paid = taken()
        control("faults", {"next": [fault]})
        key = fresh()
        try:
            refund(paid, "2.00", key)
        except ApiException as error:
            same((error.response_code, json.loads(error.response.text)["name"]), (500, "INTERNAL_SERVER_ERROR"))
        else:
            raise AssertionError("a failure was to be raised")
        same(read(paid).status == "PARTIALLY_REFUNDED", made == 1)
        asked = {"capture_id": paid.id, "paypal_request_id": key, "body": {"amount": money("2.00")}}
        same(payments.refund_captured_payment(asked).status_code, repeated)
    for fault, made in [("lost_before", 0), ("lost_after", 1)]:
        paid = taken()
        control("faults", {"next": [fault]})
        try:
            refund(paid, "2.00")
        except Exception as error:
            assert "Connection" in repr(error) or "Remote" in repr(error), repr(error)
        else:
            raise AssertionError("the reply was to be lost")
        same(read(paid).status == "PARTIALLY_REFUNDED", made == 1)
    control("faults", {"next": ["key_in_use"]})
    refused(409, "PREVIOUS_REQUEST_IN_PROGRESS", lambda: refund(paid, "2.00"))


def amounts():
    for value, currency, status, issue in [
        ("0.00", "USD", 422, "CANNOT_BE_ZERO_OR_NEGATIVE"),
        ("-1.00", "USD", 422, "CANNOT_BE_ZERO_OR_NEGATIVE"),
        ("1.001", "USD", 422, "DECIMAL_PRECISION"),
        ("1.00", "JPY", 422, "DECIMALS_NOT_SUPPORTED"),
        ("1.00", "XYZ", 422, "INVALID_CURRENCY_CODE"),
        ("1,00", "USD", 400, "INVALID_PARAMETER_SYNTAX"),
    ]:
        refused(status, issue, lambda: create(value=value, currency=currency))
    same(taken(value="1500", currency="JPY").amount.value, "1500")
    same(taken(value="1.5").amount.value, "1.50")
    invoice = fresh()
    same(taken(invoice=invoice).invoice_id, invoice)
    order = approved(invoice=invoice)
    refused(422, "DUPLICATE_INVOICE_ID", lambda: orders.capture_order({"id": order.id}))


def ask(path, body=None):
    """What the library has no call for."""
    pair = base64.b64encode(f"{CLIENT_ID}:{SECRET}".encode()).decode()
    form = {"authorization": f"Basic {pair}", "content-type": "application/x-www-form-urlencoded"}
    token = urllib.request.Request(f"{URL}/v1/oauth2/token", b"grant_type=client_credentials", form)
    with urllib.request.urlopen(token) as answer:
        headers = {"authorization": f"Bearer {json.load(answer)['access_token']}", "content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{URL}{path}", body, headers)) as answer:
        return json.load(answer)


def webhooks():
    heard = []

    class Shop(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            heard.append((self.rfile.read(int(self.headers["content-length"])), self.headers))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    shop = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    threading.Thread(target=shop.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{shop.server_port}/"
    control("hooks", {"url": url, "secrets": ["WHPYTHON"]})
    control("hooks/deliver", {})
    heard.clear()
    disorder = {"duplicates": 50, "reordered": 50, "late": 20, "forged": 50}
    control("hooks", {"url": url, "secrets": ["WHPYTHON"], "disorder": disorder})
    for _ in range(10):
        refund(capture(held(), "15.00"), "1.00")
    sent = control("hooks/deliver", {})["sent"]
    same(len(sent), len(heard))
    ids = set()
    for told, (body, headers) in zip(sent, heard):
        fields = {name: headers[f"paypal-{name.replace('_', '-')}"] for name in
                  ["transmission_id", "transmission_time", "cert_url", "auth_algo", "transmission_sig"]}

        def verdict(webhook_id, event):
            asked = json.dumps({**fields, "webhook_id": webhook_id})[:-1].encode() + b', "webhook_event": ' + event
            return ask("/v1/notifications/verify-webhook-signature", asked + b"}")["verification_status"]

        same(verdict("WHPYTHON", body), "FAILURE" if told["forged"] else "SUCCESS")
        same(verdict("WHANOTHER", body), "FAILURE")
        same(verdict("WHPYTHON", json.dumps(json.loads(body), indent=1).encode()), "FAILURE")
        if not told["forged"]:
            event = json.loads(body)
            ids.add(event["id"])
            same(ask(f"/v1/notifications/webhooks-events/{event['id']}"), event)
    # Four for each payment: approved, held, taken, given back.
    same(len(ids), 10 * 4)
    believed = sum(not told["forged"] for told in sent)
    assert len(ids) < believed < len(sent), "some came twice, and some were forged"
    control("hooks", {"url": None})
    print(f"  {believed} webhooks believed, {len(sent) - believed} not")


for scenario in [
    strangers, capture_at_once, cancel, decline, partial_captures, voids, refunds, over_refund, reviews,
    honor_and_expiry, request_ids, faults, amounts, webhooks,
]:
    scenario()
    print(f"ok: {scenario.__name__}")
