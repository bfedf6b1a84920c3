"use strict";

const MILLISECONDS_BETWEEN_LOOKS = 1000;
const drawn = {};
let chosen = location.hash.slice(1); // the id of a call

const at = (id) => document.getElementById(id);

/** An element with a text or children; texts never become markup. */
function make(tag, content = "", classes = "") {
  const element = document.createElement(tag);
  if (classes) element.className = classes;
  element.append(...[content].flat().map((part) => part ?? ""));
  return element;
}

function time(milliseconds) {
  return milliseconds == null ? "–" : new Date(milliseconds).toLocaleTimeString([], { hourCycle: "h23" });
}

function length(milliseconds) {
  if (milliseconds == null) return "";
  const seconds = Math.round(milliseconds / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

const STATUS = { ongoing: "warn", ended: "good", not_connected: "bad", error: "bad" };

const rows = {
  calls: (call) => {
    const button = make("button", call.to_number ?? call.call_type, "link");
    const row = make("tr", [
      make("td", time(call.start_timestamp)),
      make("td", button),
      make("td", call.call_status, STATUS[call.call_status] ?? "soft"),
      make("td", call.disconnection_reason),
      make("td", length(call.duration_ms), "number"),
      make("td", call.from_number),
      make("td", call.agent_name ?? call.agent_id),
    ], "can");
    button.value = row.dataset.call = call.call_id;
    return row;
  },
  deliveries: (delivery) => {
    const last = delivery.attempts.at(-1);
    const outcome = [delivery.state, last?.status ?? last?.problem].filter(Boolean).join(", ");
    return make("tr", [
      make("td", time(delivery.created)),
      make("td", delivery.event),
      make("td", outcome, { delivered: "good", failed: "bad", lost: "bad" }[delivery.state] ?? "soft"),
      make("td", String(delivery.attempts.length), "number"),
      make("td", delivery.url),
      make("td", make("code", delivery.about)),
    ]);
  },
  agents: (agent) => make("tr", [
    make("td", agent.agent_name || "–"),
    make("td", make("code", agent.agent_id)),
    make("td", agent.response_engine?.type),
    make("td", agent.voice_id),
  ]),
  faults: ({ id, struck, fault }) => {
    const { kind, operation = "*", ...details } = fault;
    const button = make("button", "remove", "link");
    button.value = id;
    button.setAttribute("aria-label", `remove ${kind}`);
    return make("tr", [
      make("td", kind),
      make("td", operation),
      make("td", String(struck), "number"),
      make("td", button),
      make("td", Object.entries(details).map(([name, value]) => `${name} ${value}`).join(", "), "soft"),
    ]);
  },
  requests: (request) => make("tr", [
    make("td", String(request.number), "number"),
    make("td", time(request.at)),
    make("td", request.operation ?? `${request.method} ${request.path}`),
    make("td", String(request.status ?? "–"), `number ${request.status == null || request.status >= 400 ? "bad" : "good"}`),
    make("td", request.faults.join(", "), "warn"),
  ]),
};

/** Draw what has changed since it was drawn last, and nothing else: what is focused or scrolled stays so. */
function draw(name, items, total) {
  const text = JSON.stringify(items);
  if (drawn[name] === text) return;
  drawn[name] = text;
  const body = at(name);
  const focused = body.contains(document.activeElement) ? document.activeElement.value : null;
  body.replaceChildren(...items.map(rows[name]));
  if (focused) body.querySelector(`button[value="${CSS.escape(focused)}"]`)?.focus();
  at(`${name}-empty`).hidden = items.length > 0;
  at(`${name}-count`).textContent = total > items.length ? `last ${items.length} of ${total}` : items.length ? String(items.length) : "";
  mark();
}

function mark() {
  for (const row of at("calls").children) row.classList.toggle("chosen", row.dataset.call === chosen);
}

function drawAccount({ clock, account }) {
  const shown = {
    Time: new Date(clock.now).toLocaleString([], { hourCycle: "h23" }),
    Speed: clock.speed ? `${clock.speed}×` : "stands still",
    "Active calls": `${account.active_calls} of ${account.concurrency_limit}`,
    Calls: account.calls,
    Requests: account.requests,
    Seed: account.seed,
  };
  at("account").replaceChildren(...Object.entries(shown).map(([name, value]) => make("div", [make("dt", name), make("dd", String(value))])));
}

function utterance(spoken) {
  if (spoken.role === "tool_call_invocation") return make("li", `${spoken.name}(${spoken.arguments ?? ""})`, "tool");
  if (spoken.role === "tool_call_result") return make("li", `→ ${spoken.content ?? ""}`, "tool");
  const begun = spoken.words?.[0]?.start;
  const label = begun == null ? spoken.role : `${spoken.role}, ${length(begun * 1000)}`;
  return make("li", [make("small", label), spoken.content ?? ""], spoken.role);
}

function drawCall(call) {
  const text = JSON.stringify(call);
  if (drawn.call === text) return;
  drawn.call = text;
  const cost = call.call_cost ? ` · $${(call.call_cost.combined_cost / 100).toFixed(2)}` : "";
  const facts = `${call.call_id} · ${call.call_status}${call.disconnection_reason ? ` · ${call.disconnection_reason}` : ""}${cost}`;
  const parts = [make("p", [facts, ...(call.call_analysis ? [make("br"), call.call_analysis.call_summary] : [])], "facts")];
  const spoken = call.transcript_with_tool_calls ?? call.transcript_object ?? [];
  parts.push(spoken.length ? make("ul", spoken.map(utterance), "talk") : make("p", "Nothing has been said.", "empty"));
  at("call").replaceChildren(...parts);
}

async function ask(path, options) {
  const answer = await fetch(path, options);
  const body = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw new Error(body.message);
  return body;
}

async function look() {
  try {
    const state = await ask("/sandbox/state");
    drawAccount(state);
    draw("calls", state.calls, state.account.calls);
    draw("deliveries", state.deliveries, state.account.deliveries);
    draw("agents", state.agents, state.account.agents);
    draw("faults", state.faults, 0);
    draw("requests", state.requests, state.account.requests);
    if (chosen) drawCall(await ask(`/sandbox/calls/${encodeURIComponent(chosen)}`));
    at("connection").hidden = true;
  } catch (error) {
    at("connection").textContent = `The sandbox does not answer: ${error.message}`;
    at("connection").hidden = false;
  }
}

async function keepLooking() {
  if (!document.hidden) await look();
  setTimeout(keepLooking, MILLISECONDS_BETWEEN_LOOKS);
}

at("calls").addEventListener("click", (event) => {
  const id = event.target.closest("tr")?.dataset.call;
  if (id) location.hash = id;
});

addEventListener("hashchange", () => {
  chosen = location.hash.slice(1);
  mark();
  look();
});

at("faults").addEventListener("click", async (event) => {
  const id = event.target.closest("button")?.value;
  if (!id) return;
  await ask(`/sandbox/faults/${id}`, { method: "DELETE" }).catch((error) => { at("fault-error").textContent = error.message; });
  look();
});

at("fault").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = new FormData(event.target);
  const fault = {
    kind: form.get("kind"),
    operation: form.get("operation"),
    probability: Number(form.get("probability")),
    seed: Number(form.get("seed")),
    acted: form.has("acted"),
  };
  at("fault-error").textContent = "";
  await ask("/sandbox/faults", { method: "POST", body: JSON.stringify(fault) }).catch((error) => { at("fault-error").textContent = error.message; });
  look();
});

keepLooking();
