// Twilio's own library for Node as a client of the simulator at SIMULATOR_URL. Ends with an error where they disagree.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { createRequire } from "node:module";

// The libraries stand in a folder of their own, beside no source of ours.
const require = createRequire(`${process.env.SDK_FOLDER}/`);
const twilio = require("twilio");
const url = process.env.SIMULATOR_URL;
const [sid, token] = process.env.SIMULATOR_KEY.split(":");

// A client of HTTP that goes to the simulator.
class Local extends twilio.RequestClient {
  request(options) {
    return super.request({ ...options, uri: options.uri.replace("https://api.twilio.com", url) });
  }
}

const client = twilio(sid, token, { httpClient: new Local() });

async function control(path, body) {
  const headers = { "content-type": "application/json" };
  const asked = body ? { method: "POST", headers, body: JSON.stringify(body) } : {};
  const answer = await fetch(`${url}/_control/${path}`, asked);
  assert.equal(answer.status, 200);
  return answer.json();
}

const messages = async () => (await control("objects")).messages;
const text = (fields = {}) =>
  client.messages.create({ to: "+14155550100", from: "+15005550006", body: "Shipped.", ...fields });

async function refused(code, act) {
  await assert.rejects(act, (error) => {
    assert.equal(error.code, code, String(error));
    return true;
  });
}

const scenarios = {
  async aMessageArrives() {
    const made = await text();
    assert.deepEqual([made.status, made.to], ["queued", "+14155550100"]);
    await control("clock", { advance_ms: 60_000 });
    const read = await client.messages(made.sid).fetch();
    assert.deepEqual([read.status, read.errorCode, read.numSegments], ["delivered", null, "1"]);
    assert.ok(read.dateSent >= made.dateCreated);
  },

  async refusals() {
    const before = (await messages()).length;
    const stranger = twilio(sid, "other", { httpClient: new Local() });
    await refused(20003, () => stranger.messages.create({ to: "+14155550100", from: "+15005550006", body: "x" }));
    await refused(21211, () => text({ to: "14155550100" }));
    await refused(21610, () => text({ to: "+15005550004" }));
    await control("faults", { next: ["rate_limited"] });
    await refused(20429, () => text());
    assert.equal((await messages()).length, before);
  },

  async aLostReplyMayBeAMessage() {
    for (const [fault, code, sent] of [
      ["lost_before", "ECONNRESET", 0],
      ["lost_after", "ECONNRESET", 1],
      ["error_before", 20500, 0],
      ["error_after", 20500, 1],
    ]) {
      const before = (await messages()).length;
      await control("faults", { next: [fault] });
      await refused(code, () => text());
      assert.equal((await messages()).length - before, sent);
      await text();
      assert.equal((await messages()).length - before, sent + 1);
    }
  },

  async pages() {
    const to = "+14155550166";
    const made = [];
    for (let n = 0; n < 7; n++) made.push((await text({ to })).sid);
    const listed = await client.messages.list({ to, pageSize: 3 });
    assert.deepEqual(listed.map((each) => each.sid), made.reverse());
  },

  async callbacks() {
    const heard = [];
    const shop = createServer(async (request, response) => {
      const parts = [];
      for await (const part of request) parts.push(part);
      const params = Object.fromEntries(new URLSearchParams(Buffer.concat(parts).toString()));
      heard.push([request.headers["x-twilio-signature"], params]);
      response.end();
    }).listen(0, "127.0.0.1");
    await once(shop, "listening");
    const hook = `http://127.0.0.1:${shop.address().port}/sms`;
    await control("hooks", { secrets: [token], disorder: { duplicates: 50, reordered: 50, forged: 50 } });
    for (let n = 0; n < 30; n++) await text({ statusCallback: hook });
    await control("clock", { advance_ms: 60_000 });
    const { sent } = await control("hooks/deliver", {});
    assert.equal(sent.length, heard.length);
    let believed = 0;
    for (const [n, [signature, params]] of heard.entries()) {
      const holds = twilio.validateRequest(token, signature, hook, params);
      assert.equal(holds, !sent[n].forged);
      believed += holds;
    }
    assert.ok(believed > 60 && believed < sent.length, "some came twice, and some were forged");
    shop.close();
    shop.closeAllConnections();
    console.log(`  ${believed} callbacks believed, ${sent.length - believed} not`);
  },
};

for (const [name, scenario] of Object.entries(scenarios)) {
  await scenario();
  console.log(`ok: ${name}`);
}
