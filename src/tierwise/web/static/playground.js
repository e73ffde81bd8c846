"use strict";
// One prompt to several tiers at once; answers are read as they stream and shown as text.

(function playground() {
  const form = document.getElementById("playground");
  if (!form) return;
  const answers = document.getElementById("answers");
  const stop = document.getElementById("stop");
  const send = document.getElementById("send");
  const token = document.querySelector("meta[name=csrf-token]").content;
  let abort = null;

  function card(label) {
    const box = document.createElement("section");
    box.className = "card answer";
    const head = document.createElement("h2");
    head.textContent = label;
    const text = document.createElement("pre");
    text.className = "said";
    const note = document.createElement("p");
    note.className = "dim";
    note.textContent = "waiting…";
    box.append(head, text, note);
    answers.append(box);
    return { box, text, note };
  }

  const seconds = (ms) => ms < 1000 ? Math.round(ms) + " ms" : (ms / 1000).toFixed(2) + " s";

  function refused(place, words) {
    place.box.classList.add("failed");
    place.note.textContent = "";
    const strong = document.createElement("strong");
    strong.textContent = "Not answered. ";
    place.note.append(strong, words);
  }

  async function read(reply, place, began) {
    const reader = reply.body.getReader();
    const decoder = new TextDecoder();
    let rest = "";
    let first = null;
    let fault = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      rest += decoder.decode(value, { stream: true });
      const lines = rest.split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (!line.startsWith("data:")) continue;
        const data = line.slice(5).trim();
        if (data === "[DONE]" || !data) continue;
        let piece;
        try { piece = JSON.parse(data); } catch (error) { continue; }
        if (piece.error) fault = String(piece.error.message || piece.error);
        const choice = piece.choices && piece.choices[0];
        const said = choice && choice.delta && choice.delta.content;
        if (said) {
          if (first === null) first = performance.now() - began;
          place.text.textContent += said;
        }
      }
    }
    return { first, fault };
  }

  async function bill(exchange, place, times) {
    const words = [];
    if (times.first !== null) words.push("first content " + seconds(times.first));
    words.push("total " + seconds(times.total));
    let known = null;
    for (let round = 0; round < 5 && !known; round++) {
      const reply = await fetch("/api/v1/requests/" + encodeURIComponent(exchange));
      if (reply.ok) {
        const found = await reply.json();
        if (found.ended_us !== null) known = found;
      }
      if (!known) await new Promise((go) => setTimeout(go, 200));
    }
    place.note.textContent = "";
    if (known) {
      const last = known.attempts[known.attempts.length - 1].line;
      const cost = document.createElement("strong");
      cost.textContent = last.cost_usd;
      cost.className = "cost";
      words.push(last.input + " in, " + last.output + " out", (last.tier || last.model));
      place.note.append(cost, " · " + words.join(" · ") + " · ");
    } else {
      place.note.append(words.join(" · ") + " · ");
    }
    const link = document.createElement("a");
    link.href = "/requests/" + encodeURIComponent(exchange);
    link.textContent = "see the request";
    place.note.append(link);
  }

  const dollars = (text) => "$" + text.replace(/0+$/, "").replace(/\.(\d?)$/, (end, digit) => "." + digit.padEnd(2, "0"));
  const between = (tier) => tier.unpriced ? "unpriced" : dollars(tier.low_usd) + " to " + dollars(tier.high_usd);
  const wished = () => ({
    prompt: document.getElementById("prompt").value,
    system: document.getElementById("system").value,
    max_tokens: Number(document.getElementById("max_tokens").value) || 300,
  });
  const places = [...form.querySelectorAll("output.quote")];
  const quoted = document.getElementById("quoted");
  let later = 0;
  let newest = 0;

  // One quote tells every tier, and where `auto` would go.
  async function quote() {
    const number = ++newest;
    if (!wished().prompt) { for (const place of places) place.textContent = ""; return; }
    let found = {};
    let reply = null;
    try {
      reply = await fetch("/api/v1/playground/quote", {
        method: "POST",
        headers: { "content-type": "application/json", "x-csrf-token": token },
        body: JSON.stringify({ model: "auto", ...wished() }),
      });
      found = await reply.json();
    } catch (error) { /* told below */ }
    if (number !== newest) return;
    const good = reply !== null && reply.ok;
    for (const place of places) {
      const tier = good && found.tiers.find((each) => place.dataset.tier ? each.tier === place.dataset.tier : each.chosen);
      place.textContent = tier ? (place.dataset.tier ? "" : tier.tier + ", ") + between(tier) : "";
    }
    const error = found.error || {};
    quoted.textContent = good
      ? "About " + found.prompt_tokens + " prompt tokens; the prompt alone, to the longest answer asked for."
      : "No quote: " + (error.message || "the gateway does not answer.") + " " + (error.hint || "");
  }
  form.addEventListener("input", (event) => {
    if (event.target.name === "model") return;
    clearTimeout(later);
    later = setTimeout(quote, 400);
  });

  async function ask(model, label, signal) {
    const place = card(label);
    const began = performance.now();
    try {
      const reply = await fetch("/api/v1/playground/ask", {
        method: "POST",
        signal,
        headers: { "content-type": "application/json", "x-csrf-token": token },
        body: JSON.stringify({ model, ...wished() }),
      });
      if (!reply.ok) {
        const told = await reply.json().catch(() => ({}));
        const error = told.error || {};
        refused(place, (error.message || "status " + reply.status) + " " + (error.hint || ""));
        return;
      }
      const { first, fault } = await read(reply, place, began);
      const exchange = reply.headers.get("x-tierwise-exchange");
      if (fault) { refused(place, fault); return; }
      if (exchange) await bill(exchange, place, { first, total: performance.now() - began });
      else place.note.textContent = "done";
    } catch (error) {
      refused(place, error.name === "AbortError" ? "Stopped." : "The gateway does not answer.");
    }
  }

  stop.addEventListener("click", () => { if (abort) abort.abort(); });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const chosen = [...form.querySelectorAll("input[name=model]:checked")];
    answers.replaceChildren();
    if (!chosen.length) {
      answers.textContent = "Choose at least one tier.";
      return;
    }
    abort = new AbortController();
    stop.hidden = false;
    send.disabled = true;
    await Promise.all(chosen.map((each) => ask(each.value, each.dataset.label, abort.signal)));
    stop.hidden = true;
    send.disabled = false;
  });
})();
