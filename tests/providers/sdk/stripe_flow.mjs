// Stripe's own library for Node as a client of the simulator at SIMULATOR_URL. Ends with an error where they disagree.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { createRequire } from "node:module";

// The library stands in a folder of its own, beside no source of ours.
const { default: Stripe } = await import(createRequire(`${process.env.SDK_FOLDER}/`).resolve("stripe"));
const url = new URL(process.env.SIMULATOR_URL);
const secrets = ["whsec_node_old", "whsec_node_new"];
const at = { host: url.hostname, port: url.port, protocol: "http", telemetry: false };
const stripe = new Stripe(process.env.SIMULATOR_KEY, { ...at, maxNetworkRetries: 0 });

async function control(path, body) {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(new URL(`/_control/${path}`, url), { method: "POST", headers, body: JSON.stringify(body) });
  assert.equal(answer.status, 200);
  return answer.json();
}

function pay(params = {}, key) {
  const asked = {
    amount: 2000,
    currency: "usd",
    confirm: true,
    payment_method: "pm_card_visa",
    payment_method_types: ["card"],
    return_url: "https://shop.example/back",
    expand: ["latest_charge"],
    ...params,
  };
  return stripe.paymentIntents.create(asked, key ? { idempotencyKey: key } : {});
}

async function refused(kind, act) {
  try {
    await act();
  } catch (error) {
    assert.equal(error.type, kind);
    return error;
  }
  assert.fail(`${kind} was to be thrown`);
}

const scenarios = {
  async createAndConfirm() {
    const paid = await pay();
    assert.deepEqual([paid.status, paid.amount_received, paid.latest_charge.captured], ["succeeded", 2000, true]);
    const opened = await stripe.paymentIntents.create({ amount: 500, currency: "eur", payment_method_types: ["card"] });
    assert.equal(opened.status, "requires_payment_method");
    const confirmed = await stripe.paymentIntents.confirm(opened.id, { payment_method: "pm_card_visa" });
    assert.equal(confirmed.status, "succeeded");
  },

  async captureAndCancel() {
    const whole = await pay({ capture_method: "manual" });
    assert.equal(whole.status, "requires_capture");
    assert.equal((await stripe.paymentIntents.capture(whole.id)).amount_received, 2000);
    const part = await pay({ capture_method: "manual" });
    const taken = await stripe.paymentIntents.capture(part.id, { amount_to_capture: 1, expand: ["latest_charge"] });
    assert.deepEqual([taken.amount_received, taken.latest_charge.amount_refunded], [1, 1999]);
    const held = await pay({ capture_method: "manual" });
    assert.equal((await stripe.paymentIntents.cancel(held.id)).status, "canceled");
    const error = await refused("StripeInvalidRequestError", () => stripe.paymentIntents.capture(held.id));
    assert.equal(error.code, "payment_intent_unexpected_state");
  },

  async refunds() {
    const paid = await pay();
    for (const amount of [300, 700]) {
      assert.equal((await stripe.refunds.create({ payment_intent: paid.id, amount })).status, "succeeded");
    }
    await refused("StripeInvalidRequestError", () => stripe.refunds.create({ payment_intent: paid.id, amount: 1001 }));
    assert.equal((await stripe.refunds.create({ charge: paid.latest_charge.id })).amount, 1000);
    const amounts = [];
    for await (const refund of stripe.refunds.list({ payment_intent: paid.id, limit: 1 })) amounts.push(refund.amount);
    assert.deepEqual(amounts, [1000, 700, 300]);
  },

  async declineAndThreeDSecure() {
    const error = await refused("StripeCardError", () => pay({ payment_method: "pm_card_chargeDeclined" }));
    assert.deepEqual([error.statusCode, error.code, error.decline_code], [402, "card_declined", "generic_decline"]);
    assert.equal(error.payment_intent.status, "requires_payment_method");
    const asked = await pay({ payment_method: "pm_card_threeDSecure2Required" });
    assert.equal(asked.status, "requires_action");
    const body = new URLSearchParams({ shopper: "approves" });
    const page = await fetch(asked.next_action.redirect_to_url.url, { method: "POST", body, redirect: "manual" });
    assert.equal(page.status, 303);
    const back = new URL(page.headers.get("location")).searchParams;
    assert.deepEqual([back.get("payment_intent"), back.get("redirect_status")], [asked.id, "succeeded"]);
    assert.equal((await stripe.paymentIntents.retrieve(asked.id)).status, "succeeded");
  },

  async idempotency() {
    const first = await pay({}, "node-1");
    const again = await pay({}, "node-1");
    assert.deepEqual([again.id, again.lastResponse.headers["idempotent-replayed"]], [first.id, "true"]);
    await refused("StripeIdempotencyError", () => pay({ amount: 2001 }, "node-1"));
    await control("faults", { next: ["error_after"] });
    for (let n = 0; n < 2; n++) {
      assert.equal((await refused("StripeAPIError", () => pay({}, "node-2"))).statusCode, 500);
    }
    // The library tries once more by itself when a connection is closed, whatever it was told.
    await control("faults", { next: ["lost_after", "lost_before"] });
    await refused("StripeConnectionError", () => pay({}, "node-3"));
    const made = (await stripe.paymentIntents.list({ limit: 1 })).data[0].id;
    assert.equal((await pay({}, "node-3")).id, made);
    // The library's own retries, under the key that it makes itself.
    const patient = new Stripe(process.env.SIMULATOR_KEY, { ...at, maxNetworkRetries: 2 });
    await control("faults", { next: ["lost_after", "key_in_use"] });
    const paid = await patient.paymentIntents.create({ amount: 900, currency: "usd", payment_method_types: ["card"] });
    const newest = await stripe.paymentIntents.list({ limit: 2 });
    assert.deepEqual(newest.data.map((intent) => intent.id), [paid.id, made]);
  },

  async lists() {
    const made = [];
    for (let n = 0; n < 5; n++) made.unshift((await pay()).id);
    const walked = await stripe.paymentIntents.list({ limit: 2 }).autoPagingToArray({ limit: 5 });
    assert.deepEqual(walked.map((intent) => intent.id), made);
  },

  async webhooks() {
    const heard = [];
    const shop = createServer(async (request, response) => {
      const parts = [];
      for await (const part of request) parts.push(part);
      heard.push([Buffer.concat(parts), request.headers["stripe-signature"]]);
      response.end();
    }).listen(0, "127.0.0.1");
    await once(shop, "listening");
    const hook = `http://127.0.0.1:${shop.address().port}/`;
    await control("hooks", { url: hook });
    await control("hooks/deliver", {});
    heard.length = 0;
    await control("hooks", { url: hook, secrets, disorder: { duplicates: 50, reordered: 50, forged: 50 } });
    for (let n = 0; n < 20; n++) await pay();
    const { sent } = await control("hooks/deliver", {});
    assert.equal(sent.length, heard.length);
    let believed = 0;
    for (const [n, [body, signature]] of heard.entries()) {
      for (const secret of secrets) {
        const read = () => stripe.webhooks.constructEvent(body, signature, secret);
        if (sent[n].forged) assert.throws(read, { type: "StripeSignatureVerificationError" });
        else assert.equal(read().id, sent[n].id);
      }
      believed += !sent[n].forged;
    }
    assert.ok(believed > 40 && believed < sent.length, "some came twice, and some were forged");
    await control("hooks", { url: null });
    shop.close();
    shop.closeAllConnections();
    console.log(`  ${believed} webhooks believed, ${sent.length - believed} not`);
  },
};

for (const [name, scenario] of Object.entries(scenarios)) {
  await scenario();
  console.log(`ok: ${name}`);
}
