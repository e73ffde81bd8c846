// The official OpenAI and Anthropic Node SDKs. `node official.mjs PORT KEY` prints one JSON object.
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { readFileSync } from "node:fs";
import { z } from "zod";

const [port, key] = process.argv.slice(2);
const model = "anthropic/claude-haiku-4";
const system = "Classify the support ticket into: Billing, Technical, Account, or General.";
const ticket = "I was charged twice for my subscription this month.";
const city = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const Ticket = z.object({ category: z.enum(["Billing", "Technical", "Account", "General"]), reason: z.string() });
const client = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: key, maxRetries: 0 });
const claude = new Anthropic({ baseURL: `http://127.0.0.1:${port}/anthropic`, apiKey: key, maxRetries: 0 });
const version = (name) => JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url))).version;
const out = { versions: { openai: version("openai"), "@anthropic-ai/sdk": version("@anthropic-ai/sdk") } };

// Chat completions
const chat = {};
const plain = await client.chat.completions.create({
  model, max_tokens: 50, temperature: 0,
  messages: [{ role: "system", content: system }, { role: "user", content: ticket }],
});
chat.plain = plain.choices[0].message.content;
chat.usage = [plain.usage.prompt_tokens, plain.usage.completion_tokens];
chat.stream = "";
const stream = await client.chat.completions.create({
  model, max_tokens: 300, stream: true, stream_options: { include_usage: true },
  messages: [{ role: "user", content: "Tell me about refunds." }],
});
for await (const chunk of stream) {
  chat.stream += chunk.choices[0]?.delta?.content ?? "";
  if (chunk.usage) chat.stream_usage = chunk.usage.completion_tokens;
}
const ran = client.chat.completions.runTools({
  model, max_tokens: 300,
  messages: [{ role: "user", content: "Use get_weather in Lyon." }],
  tools: [{
    type: "function",
    function: {
      name: "get_weather", description: "Weather of a city", parameters: city, parse: JSON.parse,
      function: (given) => { chat.tool = given; return `Rain in ${given.city}, 12 degrees`; },
    },
  }],
});
chat.after_tool = await ran.finalContent();
const parsed = await client.chat.completions.parse({
  model, max_tokens: 200, messages: [{ role: "user", content: ticket }],
  response_format: zodResponseFormat(Ticket, "ticket"),
});
chat.structured = parsed.choices[0].message.parsed;
try {
  await client.withOptions({ apiKey: "wrong" }).models.list();
} catch (error) {
  chat.wrong_key = [error.constructor.name, error.code];
}
out.chat = chat;

// Messages
const messages = {};
const message = await claude.messages.create({
  model, max_tokens: 50, system, messages: [{ role: "user", content: ticket }],
});
messages.plain = message.content[0].text;
messages.usage = [message.usage.input_tokens, message.usage.output_tokens];
const streamed = claude.messages.stream({
  model, max_tokens: 300, messages: [{ role: "user", content: "Tell me about refunds." }],
});
messages.stream = await streamed.finalText();
messages.stream_usage = (await streamed.finalMessage()).usage.output_tokens;
const question = { role: "user", content: "Use get_weather in Lyon." };
const tools = [{ name: "get_weather", description: "Weather of a city", input_schema: city }];
const called = await claude.messages.stream({ model, max_tokens: 300, tools, messages: [question] }).finalMessage();
const use = called.content.find((block) => block.type === "tool_use");
messages.tool = use.input;
const result = { type: "tool_result", tool_use_id: use.id, content: "Rain in Lyon, 12 degrees" };
const after = await claude.messages.create({
  model, max_tokens: 300, tools,
  messages: [question, { role: "assistant", content: called.content }, { role: "user", content: [result] }],
});
messages.after_tool = after.content[0].text;
const shaped = await claude.messages.create({
  model, max_tokens: 200, messages: [{ role: "user", content: ticket }],
  output_config: { format: { type: "json_schema", schema: z.toJSONSchema(Ticket) } },
});
messages.structured = JSON.parse(shaped.content[0].text);
try {
  await new Anthropic({ baseURL: `http://127.0.0.1:${port}/anthropic`, apiKey: "wrong", maxRetries: 0 }).models.list();
} catch (error) {
  messages.wrong_key = [error.constructor.name, error.error?.error?.type];
}
out.messages = messages;

// Responses
const responses = {};
const response = await client.responses.create({ model, instructions: system, input: ticket, max_output_tokens: 50, store: false });
responses.plain = response.output_text;
responses.usage = [response.usage.input_tokens, response.usage.output_tokens];
const running = client.responses.stream({ model, input: "Tell me about refunds.", max_output_tokens: 300, store: false });
const final = await running.finalResponse();
responses.stream = final.output_text;
responses.stream_usage = final.usage.output_tokens;
const weather = [{ type: "function", name: "get_weather", description: "Weather of a city", parameters: city, strict: false }];
const asking = await client.responses.stream({ model, input: [question], tools: weather, store: false }).finalResponse();
const call = asking.output.find((item) => item.type === "function_call");
responses.tool = JSON.parse(call.arguments);
const told = { type: "function_call_output", call_id: call.call_id, output: "Rain in Lyon, 12 degrees" };
const answered = await client.responses.create({
  model, tools: weather, store: false,
  input: [question, { type: "function_call", call_id: call.call_id, name: call.name, arguments: call.arguments }, told],
});
responses.after_tool = answered.output_text;
const typed = await client.responses.parse({ model, input: ticket, text: { format: zodTextFormat(Ticket, "ticket") }, store: false });
responses.structured = typed.output_parsed;
try {
  await client.withOptions({ apiKey: "wrong" }).responses.create({ model, input: "x" });
} catch (error) {
  responses.wrong_key = [error.constructor.name, error.code];
}
out.responses = responses;
console.log(JSON.stringify(out));
