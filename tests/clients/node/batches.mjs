// Files and batches of the official Node SDKs. `node batches.mjs PORT KEY` prints one JSON object.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { readFileSync } from "node:fs";

const [port, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey, maxRetries: 0 });
const claude = new Anthropic({ baseURL: `http://127.0.0.1:${port}/anthropic`, apiKey, maxRetries: 0 });
const body = { model: "tier/haiku", max_tokens: 300, messages: [{ role: "user", content: "Tell me about refunds." }] };
const pause = () => new Promise((go) => setTimeout(go, 100));
const version = (name) => JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url))).version;
const out = { versions: { openai: version("openai"), "@anthropic-ai/sdk": version("@anthropic-ai/sdk") } };

const url = "/v1/chat/completions";
const lines = ["a", "b"].map((custom_id) => JSON.stringify({ custom_id, method: "POST", url, body }));
const file = await client.files.create({
  file: await OpenAI.toFile(Buffer.from(lines.join("\n")), "in.jsonl"), purpose: "batch",
});
let batch = await client.batches.create({ input_file_id: file.id, endpoint: url, completion_window: "24h" });
while (["validating", "in_progress", "finalizing"].includes(batch.status)) {
  await pause();
  batch = await client.batches.retrieve(batch.id);
}
const text = await (await client.files.content(batch.output_file_id)).text();
const rows = text.trim().split("\n").map((line) => JSON.parse(line));
out.chat = Object.fromEntries(rows.map((row) => [row.custom_id, row.response.body.choices[0].message.content]));
out.counts = batch.request_counts;
out.listed = [];
for await (const each of client.batches.list({ limit: 1 })) out.listed.push(each.id === batch.id);
out.deleted = (await client.files.delete(file.id)).deleted;

let made = await claude.messages.batches.create({
  requests: ["a", "b"].map((custom_id) => ({ custom_id, params: body })),
});
while (made.processing_status !== "ended") {
  await pause();
  made = await claude.messages.batches.retrieve(made.id);
}
out.messages = {};
for await (const row of await claude.messages.batches.results(made.id)) {
  out.messages[row.custom_id] = row.result.message.content[0].text;
}
out.gone = (await claude.messages.batches.delete(made.id)).type;
console.log(JSON.stringify(out));
