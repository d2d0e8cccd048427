// Checks one signed message as a receiver does, with the library of Standard Webhooks.
//   node verify.js SECRET ID TIMESTAMP SIGNATURE BODY
// Exits 0 when the signature holds, 3 when the library refuses it.
const { Webhook, WebhookVerificationError } = require("standardwebhooks");

const [secret, id, timestamp, signature, body] = process.argv.slice(2);
const headers = { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signature };
try {
  new Webhook(secret).verify(body, headers, { jsonParse: false });
} catch (error) {
  if (!(error instanceof WebhookVerificationError)) throw error;
  process.exit(3);
}
