// SendGrid's own library for Node as a client of the simulator at SIMULATOR_URL. Ends with an error where they disagree.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { createRequire } from "node:module";

// The libraries stand in a folder of their own, beside no source of ours.
const require = createRequire(`${process.env.SDK_FOLDER}/`);
const { Client } = require("@sendgrid/client");
const { EventWebhook, EventWebhookHeader } = require("@sendgrid/eventwebhook");
const { MailService } = require("@sendgrid/mail");
const url = new URL(process.env.SIMULATOR_URL);

function service(key) {
  const client = new Client();
  client.setApiKey(key);
  client.setDefaultRequest("baseUrl", url.origin);
  const mails = new MailService();
  mails.setClient(client);
  return [client, mails];
}

const [client, mails] = service(process.env.SIMULATOR_KEY);

async function control(path, body) {
  const headers = { "content-type": "application/json" };
  const asked = body ? { method: "POST", headers, body: JSON.stringify(body) } : {};
  const answer = await fetch(new URL(`/_control/${path}`, url), asked);
  assert.equal(answer.status, 200);
  return answer.json();
}

const messages = async () => (await control("objects")).messages;

function mail(fields = {}) {
  return {
    to: "ann@example.com",
    from: { email: "shop@example.com", name: "Shop" },
    subject: "Your order",
    text: "Thank you.",
    html: "<p>Thank you.</p>",
    categories: ["order"],
    customArgs: { order: "ord_1" },
    ...fields,
  };
}

async function refused(code, act) {
  try {
    await act();
  } catch (error) {
    assert.equal(error.code, code, String(error));
    return error;
  }
  assert.fail(`${code} was to be thrown`);
}

const scenarios = {
  async aMailIsTaken() {
    const [answer] = await mails.send(mail());
    assert.equal(answer.statusCode, 202);
    const kept = (await messages()).at(-1);
    assert.deepEqual([kept.id, kept.mail.custom_args], [answer.headers["x-message-id"], { order: "ord_1" }]);
    await mails.sendMultiple(mail({ to: ["a@example.com", "b@example.com"] }));
    assert.deepEqual((await messages()).at(-1).copies.map((copy) => copy.email), ["a@example.com", "b@example.com"]);
  },

  async refusals() {
    const before = (await messages()).length;
    await refused(401, () => service("SG.other")[1].send(mail()));
    const error = await refused(400, () => mails.send(mail({ to: "ann" })));
    assert.equal(error.response.body.errors[0].field, "personalizations.0.to.0.email");
    await control("faults", { next: ["rate_limited"] });
    const limited = await refused(429, () => mails.send(mail()));
    assert.equal(limited.response.headers["x-ratelimit-remaining"], "0");
    assert.equal((await messages()).length, before);
  },

  async aLostReplyMayBeAMail() {
    for (const [fault, code, sent] of [
      ["lost_before", "ECONNRESET", 0],
      ["lost_after", "ECONNRESET", 1],
      ["error_before", 500, 0],
      ["error_after", 500, 1],
    ]) {
      const before = (await messages()).length;
      await control("faults", { next: [fault] });
      await refused(code, () => mails.send(mail()));
      assert.equal((await messages()).length - before, sent);
      await mails.send(mail());
      assert.equal((await messages()).length - before, sent + 1);
    }
  },

  async webhooks() {
    const heard = [];
    const shop = createServer(async (request, response) => {
      const parts = [];
      for await (const part of request) parts.push(part);
      heard.push([Buffer.concat(parts), request.headers]);
      response.end();
    }).listen(0, "127.0.0.1");
    await once(shop, "listening");
    const hook = `http://127.0.0.1:${shop.address().port}/`;
    await control("hooks", { url: hook, secrets: ["node"] });
    await control("hooks/deliver", {});
    heard.length = 0;
    const [, signed] = await client.request({ method: "GET", url: "/v3/user/webhooks/event/settings/signed" });
    const checker = new EventWebhook();
    const key = checker.convertPublicKeyToECDSA(signed.public_key);
    await control("hooks", { url: hook, secrets: ["node"], disorder: { duplicates: 50, reordered: 50, forged: 50 } });
    for (let n = 0; n < 30; n++) await mails.send(mail());
    const { sent } = await control("hooks/deliver", {});
    assert.equal(sent.length, heard.length);
    let believed = 0;
    for (const [n, [body, headers]] of heard.entries()) {
      const signature = headers[EventWebhookHeader.SIGNATURE().toLowerCase()];
      const timestamp = headers[EventWebhookHeader.TIMESTAMP().toLowerCase()];
      const isFresh = Math.abs(Date.now() / 1000 - Number(timestamp)) < 600;
      const holds = checker.verifySignature(key, body, signature, timestamp) && isFresh;
      assert.equal(holds, !sent[n].forged);
      believed += holds;
    }
    assert.ok(believed > 30 && believed < sent.length, "some came twice, and some were forged");
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
