"use strict";

const MILLISECONDS_BETWEEN_LOOKS = 1000;
const MILLISECONDS_OF_PATIENCE = 5000;
const SHOWN_CHARACTERS = 20_000;
const FOLDED_CHARACTERS = 2_000;
const LISTS = ["calls", "deliveries", "requests", "agents"];

const drawn = {};
const before = Object.fromEntries(LISTS.map((name) => [name, []])); // of each list, where its older pages begin, up to the one that is shown
let looks = 0;
let lastSeen = null;

const at = (id) => document.getElementById(id);

/** An element with a text or children; texts never become markup. */
function make(tag, content = "", classes = "") {
  const element = document.createElement(tag);
  if (classes) element.className = classes;
  element.append(...[content].flat().map((part) => part ?? ""));
  return element;
}

function button(text, act, classes = "") {
  const element = make("button", text, classes);
  element.type = "button";
  if (act) element.addEventListener("click", act);
  return element;
}

function time(milliseconds) {
  if (milliseconds == null) return "–";
  const date = new Date(milliseconds);
  const clock = date.toLocaleTimeString([], { hourCycle: "h23" });
  return date.toDateString() === new Date(lastSeen ?? milliseconds).toDateString() ? clock : `${date.toLocaleDateString()} ${clock}`;
}

function length(milliseconds) {
  if (milliseconds == null) return "";
  const seconds = Math.round(milliseconds / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

const STATUS = { ongoing: "warn", ended: "good", not_connected: "bad", error: "bad" };
const STATE = { delivered: "good", failed: "bad", lost: "bad" };

/** What is open in the panel of details: its kind and its id. */
function chosen() {
  const [kind, ...id] = location.hash.slice(1).split("/");
  return { kind, id: decodeURIComponent(id.join("/")) };
}

/** A row that opens its details, by a click anywhere and by the button in its second cell. */
function opening(kind, id, label, cells, place = 1) {
  const hash = `${kind}/${encodeURIComponent(id)}`;
  const opener = button(label, null, "link");
  opener.value = hash;
  cells.splice(place, 0, make("td", opener));
  const row = make("tr", cells, "can");
  row.dataset.open = hash;
  for (const cell of cells) cell.title = cell.textContent;
  return row;
}

const rows = {
  calls: (call) => opening("call", call.call_id, call.to_number ?? call.call_type, [
    make("td", time(call.created)),
    make("td", call.call_status, STATUS[call.call_status] ?? "soft"),
    make("td", call.disconnection_reason),
    make("td", length(call.duration_ms), "number"),
    make("td", call.from_number),
    make("td", call.agent_name ?? call.agent_id),
  ]),
  deliveries: (delivery) => {
    const last = delivery.attempts.at(-1);
    const outcome = [delivery.state, last?.status ?? last?.problem].filter(Boolean).join(", ");
    return opening("delivery", delivery.id, delivery.event, [
      make("td", time(delivery.created)),
      make("td", outcome, STATE[delivery.state] ?? "soft"),
      make("td", String(delivery.attempts.length), "number"),
      make("td", delivery.url),
      make("td", make("code", delivery.about)),
    ]);
  },
  requests: (request) => opening("request", String(request.number), request.operation ?? `${request.method} ${request.path}`, [
    make("td", String(request.number), "number"),
    make("td", time(request.at)),
    make("td", String(request.status ?? "–"), `number ${request.status == null || request.status >= 400 ? "bad" : "good"}`),
    make("td", request.faults.join(", "), "warn"),
  ], 2),
  agents: (agent) => make("tr", [
    make("td", agent.agent_name || "–"),
    make("td", make("code", agent.agent_id)),
    make("td", agent.response_engine?.type),
    make("td", agent.voice_id),
  ]),
  faults: ({ id, struck, fault }) => {
    const { kind, operation = "*", ...details } = fault;
    const remover = button("remove", () => act("fault-said", `/sandbox/faults/${id}`, "DELETE"), "link");
    remover.value = id;
    remover.setAttribute("aria-label", `remove ${kind}`);
    return make("tr", [
      make("td", kind),
      make("td", operation),
      make("td", String(struck), "number"),
      make("td", remover),
      make("td", Object.entries(details).map(([name, value]) => `${name} ${value}`).join(", "), "soft"),
    ]);
  },
};

/** Whether something is not what was drawn last: then it is to be drawn. What is focused or scrolled stays so otherwise. */
function isNews(name, what) {
  const text = JSON.stringify(what);
  if (drawn[name] === text) return false;
  drawn[name] = text;
  return true;
}

function draw(name, items) {
  if (!isNews(name, items)) return;
  const body = at(name);
  const focused = body.contains(document.activeElement) ? document.activeElement.value : null;
  body.replaceChildren(...items.map(rows[name]));
  if (focused) body.querySelector(`button[value="${CSS.escape(focused)}"]`)?.focus();
  at(`${name}-empty`).hidden = items.length > 0;
  mark();
}

/** How many there are in all, and the way to those that are older or newer than what is shown. */
function drawPages(name, total, older) {
  const page = before[name].length;
  at(`${name}-count`).textContent = total ? `${total}, newest first` : "";
  if (!isNews(`${name}-pages`, [page, older])) return;
  const nav = at(`${name}-pages`);
  const focused = nav.contains(document.activeElement);
  const turn = (change) => () => {
    change();
    at(name).closest(".scroll").scrollTop = 0;
    look();
  };
  const newest = button("Newest", turn(() => { before[name].length = 0; }));
  const newer = button("Newer", turn(() => { before[name].pop(); }));
  const next = button("Older", turn(() => { before[name].push(older); }));
  newest.disabled = newer.disabled = page === 0;
  next.disabled = older == null;
  nav.hidden = page === 0 && older == null;
  nav.replaceChildren(newest, newer, next, make("span", `page ${page + 1}`));
  if (focused) (next.disabled ? newer : next).focus();
}

function mark() {
  const open = location.hash.slice(1);
  for (const row of document.querySelectorAll("tr[data-open]")) row.classList.toggle("chosen", row.dataset.open === open);
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

function drawNumbers(numbers) {
  if (!isNews("numbers", numbers)) return;
  const select = at("numbers");
  const kept = select.value;
  select.replaceChildren(...numbers.map(({ phone_number, nickname }) => {
    const option = make("option", nickname ? `${phone_number} ${nickname}` : phone_number);
    option.value = phone_number;
    return option;
  }));
  if (numbers.some(({ phone_number }) => phone_number === kept)) select.value = kept;
}

/** JSON with its lines broken and nothing else changed: its numbers stay as they are, however long. */
function broken(text) {
  if (!/^\s*[{[]/.test(text)) return text;
  let depth = 0;
  const line = () => `\n${"  ".repeat(Math.min(depth, 40))}`;
  return text.replace(/"(?:[^"\\]|\\.)*"|([{[])\s*([}\]])|[{[]|[}\]]|,|:|\s+/g, (token, opened, closed) => {
    if (opened) return opened + closed;
    if (/^\s/.test(token)) return "";
    if (token === "{" || token === "[") { depth += 1; return token + line(); }
    if (token === "}" || token === "]") { depth = Math.max(0, depth - 1); return line() + token; }
    if (token === ",") return token + line();
    return token === ":" ? ": " : token;
  });
}

/** A text that can be folded away, the beginning of it when it is long. */
function body(title, { text, bytes }, open = true) {
  const fold = document.createElement("details");
  fold.open = open;
  fold.dataset.title = title;
  fold.append(make("summary", [`${title} `, make("small", bytes ? `${bytes.toLocaleString()} bytes` : "empty")]));
  if (!text) return fold;
  const whole = broken(text);
  const pre = make("pre", whole.slice(0, SHOWN_CHARACTERS));
  const buttons = make("div", [button("Copy as it is", () => navigator.clipboard?.writeText(text), "link")], "body-buttons");
  if (whole.length > SHOWN_CHARACTERS) {
    buttons.prepend(button(`Show all ${whole.length.toLocaleString()} characters`, (event) => {
      pre.textContent = whole;
      event.target.remove();
    }, "link"));
  }
  fold.append(pre, buttons);
  return fold;
}

function object(title, value, open = undefined) {
  const text = JSON.stringify(value);
  open ??= text.length < FOLDED_CHARACTERS;
  return body(title, { text, bytes: new TextEncoder().encode(text).length }, open);
}

function facts(pairs) {
  const list = make("dl", "", "facts");
  for (const [name, value] of Object.entries(pairs)) {
    if (value != null && value !== "" && value.length !== 0) list.append(make("dt", name), make("dd", [value].flat().map((part) => part instanceof Node ? part : String(part))));
  }
  return list;
}

function utterance(spoken) {
  if (spoken.role === "tool_call_invocation") return make("li", `${spoken.name}(${spoken.arguments ?? ""})`, "tool");
  if (spoken.role === "tool_call_result") return make("li", `→ ${spoken.content ?? ""}`, "tool");
  const begun = spoken.words?.[0]?.start;
  const label = begun == null ? spoken.role : `${spoken.role}, ${length(begun * 1000)}`;
  return make("li", [make("small", label), spoken.content ?? ""], spoken.role === "agent" ? "agent" : "");
}

function link(kind, id, text = id) {
  const element = make("a", text);
  element.href = `#${kind}/${encodeURIComponent(id)}`;
  return element;
}

const STRUCTURED = {
  metadata: "Metadata",
  retell_llm_dynamic_variables: "Dynamic variables",
  collected_dynamic_variables: "Collected variables",
  custom_sip_headers: "SIP headers",
  call_analysis: "Analysis",
};

const details = {
  call: {
    title: "Call",
    read: async (id) => ({
      call: await ask(`/sandbox/calls/${encodeURIComponent(id)}`),
      deliveries: (await ask(`/sandbox/deliveries?about=${encodeURIComponent(id)}`)).items,
    }),
    actions: ({ call }) => call.call_status === "ongoing"
      ? [button("End this call", () => act("detail-said", `/sandbox/calls/${encodeURIComponent(call.call_id)}/end`, "POST"))] : [],
    parts: ({ call, deliveries }) => {
      const spoken = call.transcript_with_tool_calls ?? call.transcript_object ?? [];
      return [
        facts({
          Id: make("code", call.call_id),
          Status: [call.call_status, call.disconnection_reason].filter(Boolean).join(", "),
          Direction: call.direction,
          From: call.from_number,
          To: call.to_number,
          Agent: `${call.agent_name ?? ""} ${call.agent_id} version ${call.agent_version}`,
          Started: call.start_timestamp && time(call.start_timestamp),
          Ended: call.end_timestamp && time(call.end_timestamp),
          Length: length(call.duration_ms),
          Cost: call.call_cost && `$${(call.call_cost.combined_cost / 100).toFixed(2)}`,
          Summary: call.call_analysis?.call_summary,
          Deliveries: deliveries.flatMap(({ id, event, state }) => [link("delivery", id, event), ` ${state} `]),
        }),
        ...Object.entries(STRUCTURED).filter(([name]) => call[name] && Object.keys(call[name]).length).map(([name, title]) => object(title, call[name])),
        spoken.length ? make("ul", spoken.map(utterance), "talk") : make("p", "Nothing has been said.", "empty"),
        object("All fields", call, false),
      ];
    },
  },
  delivery: {
    title: "Delivery",
    read: (id) => ask(`/sandbox/deliveries/${encodeURIComponent(id)}`),
    actions: (delivery) => [button("Send it again", async () => {
      const copy = await act("detail-said", `/sandbox/deliveries/${encodeURIComponent(delivery.id)}/again`, "POST");
      if (copy) location.hash = `delivery/${encodeURIComponent(copy.id)}`;
    })],
    parts: (delivery) => [
      facts({
        Id: make("code", delivery.id),
        What: `${delivery.event} (${delivery.kind})`,
        About: delivery.about.startsWith("call_") ? link("call", delivery.about) : delivery.about,
        To: `${delivery.method ?? ""} ${delivery.url}`,
        State: delivery.state,
        Made: time(delivery.created),
        "Next attempt": delivery.due && time(delivery.due),
        Problem: delivery.cannot_be_sent,
      }),
      ...delivery.attempts.flatMap((attempt, number) => [
        facts({
          [`Attempt ${number + 1}`]: `${time(attempt.at)}, ${attempt.status ?? attempt.problem ?? "no answer"}, after ${attempt.seconds} s`,
          Signature: attempt.signature && make("code", attempt.signature),
          "": attempt.signature && delivery.payload && !attempt.signs_this ? "What was sent then is no longer the payload that is shown here." : null,
        }),
        body(`Answer to attempt ${number + 1}`, attempt.answer),
      ]),
      ...(delivery.payload ? [body("Payload", delivery.payload)] : []),
      ...(delivery.headers && Object.keys(delivery.headers).length ? [object("Headers", delivery.headers, false)] : []),
      ...(delivery.query && Object.keys(delivery.query).length ? [object("Query", delivery.query)] : []),
    ],
  },
  request: {
    title: "Request",
    read: (id) => ask(`/sandbox/requests/${encodeURIComponent(id)}`),
    actions: () => [],
    parts: (request) => [
      facts({
        Number: request.number,
        Time: time(request.at),
        Request: make("code", `${request.method} ${request.path}`),
        Operation: request.operation ?? "none of the API's",
        Status: request.status ?? "no answer was sent, or none yet",
        Faults: request.faults.join(", "),
        "Content type": request.content_type,
      }),
      ...(Object.keys(request.query).length ? [object("Query", request.query)] : []),
      body("Request body", request.sent),
      request.answered ? body("Response body", request.answered)
        : make("p", request.status == null ? "No response was sent." : "The response is no longer kept.", "empty"),
    ],
  },
};

function drawDetail(kind, id, shown) {
  if (!isNews("detail", [kind, id, shown])) return;
  const { title, actions, parts } = details[kind];
  const panel = at("detail");
  const same = panel.dataset.of === `${kind}/${id}`;
  const open = new Map([...panel.querySelectorAll("details")].map((fold) => [fold.dataset.title, fold.open]));
  const { scrollTop } = panel;
  at("detail-title").textContent = title;
  const output = make("output", same ? at("detail-said")?.textContent ?? "" : "");
  output.id = "detail-said";
  const focused = at("actions").contains(document.activeElement);
  at("actions").replaceChildren(...actions(shown), output);
  at("actions").hidden = at("actions").childElementCount < 2;
  if (focused) (at("actions").querySelector("button") ?? at("detail-title")).focus();
  panel.replaceChildren(...parts(shown));
  panel.dataset.of = `${kind}/${id}`;
  if (same) {
    for (const fold of panel.querySelectorAll("details")) fold.open = open.get(fold.dataset.title) ?? fold.open;
  }
  panel.scrollTop = same ? scrollTop : 0;
}

function drawNoDetail(text) {
  if (!isNews("detail", text)) return;
  at("detail-title").textContent = "Details";
  at("actions").hidden = true;
  at("detail").replaceChildren(make("p", text, "empty"));
  delete at("detail").dataset.of;
}

/** Numbers that JavaScript would round stay as they were written, where the browser can do so. */
function exact(_, value, context) {
  const rounds = typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
  return rounds && context && JSON.rawJSON ? JSON.rawJSON(context.source) : value;
}

async function ask(path, method = "GET", fields = undefined) {
  const answer = await fetch(path, {
    method,
    body: fields === undefined ? undefined : JSON.stringify(fields),
    signal: AbortSignal.timeout(MILLISECONDS_OF_PATIENCE),
  });
  const text = await answer.text();
  if (!answer.ok) {
    const error = new Error(text);
    try { error.message = JSON.parse(text).message ?? text; } catch { /* it is no answer of this interface: its text is said */ }
    error.status = answer.status;
    throw error;
  }
  return text ? JSON.parse(text, exact) : null;
}

/** Do something, and say what came of it or why nothing did. */
async function act(where, path, method, fields, said = () => "") {
  let text = "", failed = false, answer;
  try {
    answer = await ask(path, method, fields);
    text = said(answer);
  } catch (error) {
    [text, failed] = [error.message, true];
  }
  const output = at(where);
  if (output) {
    output.textContent = text;
    output.className = failed ? "bad" : "good";
  }
  look();
  return failed ? null : answer ?? {};
}

async function look() {
  const turn = ++looks;
  const query = new URLSearchParams(LISTS.filter((name) => before[name].length).map((name) => [name, before[name].at(-1)]));
  const { kind, id } = chosen();
  try {
    const state = await ask(`/sandbox/state?${query}`);
    const shown = details[kind] && id ? await details[kind].read(id).catch((error) => {
      if (error.status !== 404) throw error;
      return null;
    }) : undefined;
    if (turn !== looks) return;
    lastSeen = state.clock.now;
    drawAccount(state);
    drawNumbers(state.numbers);
    for (const name of LISTS) {
      draw(name, state[name]);
      drawPages(name, state.account[name], state.older[name]);
    }
    draw("faults", state.faults);
    at("faults-count").textContent = state.faults.length || "";
    at("faults-clear").disabled = !state.faults.length;
    if (shown) drawDetail(kind, id, shown);
    else drawNoDetail(shown === null ? "It is not there, or no longer." : "Choose a call, a delivery or a request to see all of it.");
    if (!at("fault-fields").childElementCount) drawFaultForm(await ask("/sandbox/faults"));
    at("outage").hidden = true;
    document.body.classList.remove("stale");
  } catch (error) {
    if (turn !== looks) return;
    const since = lastSeen == null ? "" : ` What is shown is of ${new Date(lastSeen).toLocaleTimeString([], { hourCycle: "h23" })} of its time.`;
    at("outage").textContent = `The sandbox does not answer: ${error.message}.${since}`;
    at("outage").hidden = false;
    document.body.classList.add("stale");
  }
}

async function keepLooking() {
  if (!document.hidden) await look();
  setTimeout(keepLooking, MILLISECONDS_BETWEEN_LOOKS);
}

let faultFields = [];

function drawFaultForm({ fields, operations, events }) {
  faultFields = fields;
  at("operations").replaceChildren(...[...operations, ...events].map((name) => Object.assign(document.createElement("option"), { value: name })));
  at("fault-fields").replaceChildren(...fields.map((field) => {
    const input = document.createElement(field.type === "choice" ? "select" : "input");
    input.name = field.name;
    if (field.type === "choice") {
      input.append(...field.choices.map((choice) => make("option", choice)));
    } else if (field.type === "boolean") {
      input.type = "checkbox";
      input.checked = field.default;
    } else {
      input.required = !field.optional;
      input.autocomplete = "off";
      if (field.type === "text") input.spellcheck = false;
      else [input.type, input.step] = ["number", field.type === "integer" ? "1" : "any"];
    }
    if (field.name === "operation") input.setAttribute("list", "operations");
    if (field.type !== "boolean" && field.default != null) input.value = field.default;
    const label = make("label", [field.name, input, ...(field.hint ? [make("small", field.hint)] : [])]);
    label.dataset.field = field.name;
    return label;
  }));
  showFaultFields();
  at("fault").elements.kind.addEventListener("change", showFaultFields);
}

/** Show the fields that matter to the kind that is chosen. */
function showFaultFields() {
  const kind = at("fault").elements.kind.value;
  for (const { name, kinds } of faultFields) {
    const label = at("fault-fields").querySelector(`[data-field="${name}"]`);
    label.hidden = kinds != null && !kinds.includes(kind);
    at("fault").elements[name].disabled = label.hidden;
  }
}

function valueOf(field) {
  const input = at("fault").elements[field.name];
  if (field.type === "boolean") return input.checked;
  if (field.type === "choice" || field.type === "text") return input.value;
  return input.value === "" ? null : Number(input.value);
}

at("fault").addEventListener("submit", (event) => {
  event.preventDefault();
  const meant = faultFields.filter((field) => !at("fault").elements[field.name].disabled);
  const fault = Object.fromEntries(meant.map((field) => [field.name, valueOf(field)]));
  act("fault-said", "/sandbox/faults", "POST", fault, ({ id }) => `Fault ${id} is set.`);
});

at("faults-clear").addEventListener("click", () => act("fault-said", "/sandbox/faults", "DELETE", undefined, () => "All faults are removed."));

at("clock").addEventListener("submit", (event) => {
  event.preventDefault();
  const { amount, unit } = event.target.elements;
  advance(Number(amount.value) * Number(unit.value));
});

at("next").addEventListener("click", () => advance("next"));

function advance(amount) {
  const said = ({ now }) => `It is ${new Date(now).toLocaleTimeString([], { hourCycle: "h23" })}${lastSeen ? `, ${((now - lastSeen) / 1000).toFixed(1)} s later` : ""}.`;
  act("clock-said", "/sandbox/clock", "POST", { advance: amount }, said);
}

at("ring").addEventListener("submit", (event) => {
  event.preventDefault();
  const { from_number, to_number, headers } = event.target.elements;
  const lines = headers.value.split("\n").filter((line) => line.trim()).map((line) => line.split(/:(.*)/s));
  if (lines.some((line) => line.length < 2)) {
    at("ring-said").textContent = "A SIP header is a line of the form X-Name: value.";
    at("ring-said").className = "bad";
    return;
  }
  const fields = {
    from_number: from_number.value.trim(),
    to_number: to_number.value,
    headers: Object.fromEntries(lines.map(([name, value]) => [name.trim(), value.trim()])),
  };
  act("ring-said", "/sandbox/calls", "POST", fields, ({ over, call_id }) => {
    if (call_id) location.hash = `call/${encodeURIComponent(call_id)}`;
    return call_id ? "An agent takes the call." : over ? "Nobody takes the call." : "It rings: the number's webhook is asked.";
  });
});

document.addEventListener("click", (event) => {
  const open = event.target.closest?.("tr[data-open]")?.dataset.open;
  if (open) location.hash = open;
});

addEventListener("hashchange", () => {
  mark();
  look();
  if (location.hash && matchMedia("(max-width: 900px)").matches) {
    at("detail-section").scrollIntoView();
    at("detail-title").focus({ preventScroll: true });
  }
});

document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });

keepLooking();
