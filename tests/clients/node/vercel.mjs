// Vercel AI SDK with its OpenAI (responses by default, and chat), Anthropic and Google providers.
// `node vercel.mjs PORT KEY` prints one JSON object.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, Output, stepCountIs, streamText, tool } from "ai";
import { readFileSync } from "node:fs";
import { z } from "zod";

const [port, key] = process.argv.slice(2);
const name = "anthropic/claude-haiku-4";
const host = `http://127.0.0.1:${port}`;
const ticket = "I was charged twice for my subscription this month.";
const Ticket = z.object({ category: z.enum(["Billing", "Technical", "Account", "General"]), reason: z.string() });
const makes = {
  responses: (apiKey) => createOpenAI({ baseURL: `${host}/v1`, apiKey })(name),
  chat: (apiKey) => createOpenAI({ baseURL: `${host}/v1`, apiKey }).chat(name),
  messages: (apiKey) => createAnthropic({ baseURL: `${host}/anthropic/v1`, apiKey })(name),
  // This provider puts a name with a slash into the path as it is.
  gemini: (apiKey) => createGoogleGenerativeAI({ baseURL: `${host}/gemini/v1beta`, apiKey })(`models/${name}`),
};
const version = (pack) => JSON.parse(readFileSync(new URL(`node_modules/${pack}/package.json`, import.meta.url))).version;
const packs = ["ai", "@ai-sdk/openai", "@ai-sdk/anthropic", "@ai-sdk/google"];
const out = { versions: Object.fromEntries(packs.map((pack) => [pack, version(pack)])) };

async function exercise(make) {
  const seen = {};
  const model = make(key);
  const plain = await generateText({
    model, maxRetries: 0, maxOutputTokens: 50, prompt: ticket,
    system: "Classify the support ticket into: Billing, Technical, Account, or General.",
  });
  seen.plain = plain.text;
  seen.usage = [plain.usage.inputTokens, plain.usage.outputTokens];
  const stream = streamText({ model, maxRetries: 0, maxOutputTokens: 300, prompt: "Tell me about refunds." });
  seen.stream = "";
  for await (const piece of stream.textStream) seen.stream += piece;
  seen.stream_usage = (await stream.usage).outputTokens;
  const weather = tool({
    description: "Weather of a city",
    inputSchema: z.object({ city: z.string() }),
    execute: async (given) => { seen.tool = given; return `Rain in ${given.city}, 12 degrees`; },
  });
  const stepped = streamText({
    model, maxRetries: 0, tools: { get_weather: weather }, stopWhen: stepCountIs(3), prompt: "Use get_weather in Lyon.",
  });
  seen.after_tool = await stepped.text;
  const shaped = await generateText({ model, maxRetries: 0, output: Output.object({ schema: Ticket }), prompt: ticket });
  seen.structured = shaped.output;
  try {
    await generateText({ model: make("wrong"), maxRetries: 0, prompt: "hello" });
  } catch (error) {
    seen.wrong_key = [error.name, error.statusCode];
  }
  return seen;
}

for (const [surface, make] of Object.entries(makes)) {
  try {
    out[surface] = await exercise(make);
  } catch (error) {
    out[surface] = { failed: String(error.stack ?? error), body: error.responseBody };
  }
}
console.log(JSON.stringify(out));
