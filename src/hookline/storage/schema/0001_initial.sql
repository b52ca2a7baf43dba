-- Times are microseconds since 1970 UTC. The tenant is the first column of every unique key.
-- {blob} is BLOB or BYTEA. Statements end with a semicolon at the end of a line.

-- One row: the sequence that every accepted event and delivery takes its place from, and the version of
-- the configuration. Taking the row's lock makes the sequence follow the order of commits, and makes a
-- changed hook count for the next accepted event, on every process.
CREATE TABLE clock (
  id BIGINT PRIMARY KEY CHECK (id = 1),
  seq BIGINT NOT NULL,
  config BIGINT NOT NULL
);
INSERT INTO clock (id, seq, config) VALUES (1, 0, 1);

CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value TEXT NOT NULL
);

-- A process that holds deliveries; one whose heartbeat is old is dead and its work is taken back.
CREATE TABLE processes (
  epoch TEXT PRIMARY KEY,
  started_at BIGINT NOT NULL,
  heartbeat_at BIGINT NOT NULL
);

CREATE TABLE keys (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  seq BIGINT NOT NULL,
  name TEXT NOT NULL,
  scope TEXT NOT NULL CHECK (scope IN ('read', 'publish', 'manage')),
  hash {blob} NOT NULL,
  created_at BIGINT NOT NULL,
  revoked_at BIGINT,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX keys_hash ON keys (hash);

CREATE TABLE hooks (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  seq BIGINT NOT NULL,
  spec {blob} NOT NULL,
  keys {blob} NOT NULL,
  disabled_reason TEXT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  -- its receiver asked for patience (429, 503 with Retry-After); a change of the hook ends it
  paused_since BIGINT,
  paused_until BIGINT,
  PRIMARY KEY (tenant, id)
);
CREATE INDEX hooks_paused ON hooks (paused_until) WHERE paused_until IS NOT NULL;

-- Hooks of which no delivery has succeeded since then, and how many began to fail; a success removes the row.
CREATE TABLE hook_health (
  tenant TEXT NOT NULL,
  hook TEXT NOT NULL,
  failing_since BIGINT NOT NULL,
  failures BIGINT NOT NULL,
  PRIMARY KEY (tenant, hook)
);

CREATE TABLE events (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  seq BIGINT NOT NULL,
  type TEXT NOT NULL,
  source TEXT NOT NULL,
  source_id TEXT,
  subject TEXT,
  time BIGINT NOT NULL,
  accepted_at BIGINT NOT NULL,
  data {blob} NOT NULL,
  envelope {blob},
  cause TEXT,
  depth BIGINT NOT NULL,
  campaign TEXT,
  message TEXT,
  verdicts {blob} NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX events_seq ON events (tenant, seq);
-- Few sources, so it grows at few places; without it a quiet source is looked for among all events.
CREATE INDEX events_source ON events (tenant, source, seq);
CREATE INDEX events_type ON events (tenant, type, seq);
CREATE INDEX events_subject ON events (tenant, subject, seq) WHERE subject IS NOT NULL;
CREATE INDEX events_campaign ON events (tenant, campaign, seq) WHERE campaign IS NOT NULL;

-- What a publisher has sent before, for 30 days; narrow, and of its own life.
CREATE TABLE event_keys (
  tenant TEXT NOT NULL,
  source TEXT NOT NULL,
  hash {blob} NOT NULL,
  event TEXT NOT NULL,
  body {blob} NOT NULL,
  seen_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, source, hash)
);

-- next_at is set just while a delivery waits to be claimed, owner just while it is being sent.
CREATE TABLE deliveries (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  seq BIGINT NOT NULL,
  lane TEXT NOT NULL,
  -- what it is in order with, where its hook asks for an order
  order_key TEXT,
  kind TEXT NOT NULL CHECK (kind IN ('webhook', 'slack', 'email', 'sms', 'contact')),
  state TEXT NOT NULL CHECK (
    state IN ('waiting', 'queued', 'sending', 'succeeded', 'failed', 'cancelled', 'held')
  ),
  hook TEXT,
  campaign TEXT,
  event TEXT,
  contact TEXT,
  address TEXT,
  attempts BIGINT NOT NULL,
  tries BIGINT NOT NULL,
  next_at BIGINT,
  owner TEXT,
  error TEXT,
  -- where an extra attempt, asked for by a person, leads back to when it fails
  resume_state TEXT,
  resume_at BIGINT,
  replay TEXT,
  depth BIGINT NOT NULL,
  -- of a batch: how many events it has, and how many bytes these; 0 for what is none
  size BIGINT NOT NULL,
  weight BIGINT NOT NULL,
  -- the time that its domain's throttle has given it: while next_at is the same, it waits for that
  place BIGINT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, id),
  CHECK ((next_at IS NOT NULL) = (state IN ('waiting', 'queued'))),
  CHECK ((owner IS NOT NULL) = (state = 'sending')),
  -- without a hook and a campaign it is a mail of its own, or one that asks to confirm an event's subscription
  CHECK (hook IS NOT NULL OR campaign IS NOT NULL OR kind = 'email')
);
CREATE UNIQUE INDEX deliveries_seq ON deliveries (tenant, seq);
-- First attempts are queued, retries wait for their time: each is found without wading through the others.
CREATE INDEX deliveries_due ON deliveries (lane, state, next_at) WHERE next_at IS NOT NULL;
-- The lane comes first, to count what is under way in it; who owns what is asked seldom, and walks what there is.
CREATE INDEX deliveries_held ON deliveries (lane, owner) WHERE owner IS NOT NULL;
CREATE INDEX deliveries_order ON deliveries (lane, order_key, seq)
  WHERE order_key IS NOT NULL AND state IN ('waiting', 'queued', 'sending');
CREATE INDEX deliveries_event ON deliveries (tenant, event) WHERE event IS NOT NULL;
CREATE INDEX deliveries_hook ON deliveries (tenant, hook, seq) WHERE hook IS NOT NULL;
CREATE INDEX deliveries_campaign ON deliveries (tenant, campaign, seq) WHERE campaign IS NOT NULL;
-- Whether a campaign is over; the list of states is written as its query writes it, or SQLite looks past it.
CREATE INDEX deliveries_live ON deliveries (tenant, campaign)
  WHERE campaign IS NOT NULL AND state IN ('waiting', 'queued', 'sending');
-- The states worth looking for. Every index is a write: a webhook that is born leased and succeeds has no
-- entry in this one, and those that succeeded are found quickly by walking the sequence, being most.
-- OR and not IN, because SQLite finds `state = 'held'` in the one and not in the other.
CREATE INDEX deliveries_state ON deliveries (tenant, state, seq)
  WHERE state = 'waiting' OR state = 'queued' OR state = 'failed' OR state = 'cancelled' OR state = 'held';
-- Nobody gets a campaign twice, whatever crashes.
CREATE UNIQUE INDEX deliveries_recipient ON deliveries (tenant, campaign, address)
  WHERE campaign IS NOT NULL AND hook IS NULL;

CREATE INDEX deliveries_gathering ON deliveries (tenant, lane)
  WHERE size > 0 AND attempts = 0 AND state = 'waiting';

-- What is in a batch. A delivery of one event has that in its own row.
CREATE TABLE batch_events (
  tenant TEXT NOT NULL,
  delivery TEXT NOT NULL,
  place BIGINT NOT NULL,
  event TEXT NOT NULL,
  PRIMARY KEY (tenant, delivery, place)
);
CREATE INDEX batch_events_event ON batch_events (tenant, event);

-- A lane with a pace: what is spent of its rate, as JSON (rules.pacing). Whoever claims from it holds its row.
-- Its open deliveries have their order keys as of so many changes: those that came before may lack them.
CREATE TABLE lanes (
  tenant TEXT NOT NULL,
  lane TEXT NOT NULL,
  spent TEXT NOT NULL,
  changes BIGINT NOT NULL,
  keyed BIGINT NOT NULL,
  PRIMARY KEY (tenant, lane)
);

-- New deliveries on purpose, from old events: cursor walks the sequence up to until_seq.
CREATE TABLE replays (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  seq BIGINT NOT NULL,
  spec {blob} NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('running', 'finished', 'stopped')),
  cursor BIGINT NOT NULL,
  until_seq BIGINT NOT NULL,
  total BIGINT NOT NULL,
  done BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  finished_at BIGINT,
  PRIMARY KEY (tenant, id)
);
CREATE INDEX replays_running ON replays (state) WHERE state = 'running';

CREATE TABLE attempts (
  tenant TEXT NOT NULL,
  delivery TEXT NOT NULL,
  number BIGINT NOT NULL,
  id TEXT NOT NULL,
  started_at BIGINT NOT NULL,
  finished_at BIGINT NOT NULL,
  outcome TEXT NOT NULL CHECK (outcome IN ('ok', 'retry', 'permanent')),
  error TEXT,
  detail TEXT NOT NULL,
  status BIGINT,
  request {blob},
  response {blob},
  PRIMARY KEY (tenant, delivery, number)
);

-- A spent place under a hook's limit; it outlives the event and the delivery.
CREATE TABLE limits (
  tenant TEXT NOT NULL,
  hook TEXT NOT NULL,
  subject TEXT NOT NULL,
  delivery TEXT NOT NULL,
  at BIGINT NOT NULL,
  PRIMARY KEY (tenant, hook, subject, at, delivery)
);
CREATE INDEX limits_delivery ON limits (tenant, delivery);

CREATE TABLE contacts (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  seq BIGINT NOT NULL,
  email TEXT,
  phone TEXT,
  attributes {blob} NOT NULL,
  tags {blob} NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('active', 'unsubscribed')),
  revision BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX contacts_email ON contacts (tenant, email);
CREATE UNIQUE INDEX contacts_seq ON contacts (tenant, seq);
CREATE INDEX contacts_phone ON contacts (tenant, phone) WHERE phone IS NOT NULL;

CREATE TABLE lists (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  seq BIGINT NOT NULL,
  name TEXT NOT NULL,
  double_opt_in {blob},
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX lists_name ON lists (tenant, name);

-- Contacts that a condition holds for, found anew each time.
CREATE TABLE segments (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  seq BIGINT NOT NULL,
  name TEXT NOT NULL,
  condition TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX segments_name ON segments (tenant, name);

CREATE TABLE members (
  tenant TEXT NOT NULL,
  list TEXT NOT NULL,
  contact TEXT NOT NULL,
  seq BIGINT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('subscribed', 'unsubscribed', 'pending')),
  changed_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, list, contact)
);
CREATE INDEX members_seq ON members (tenant, list, seq);
CREATE INDEX members_contact ON members (tenant, contact);

-- A file being read into contacts: position and digest are of what is committed, so that it can go on.
CREATE TABLE imports (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  seq BIGINT NOT NULL,
  spec {blob} NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('running', 'stopped', 'finished')),
  position BIGINT NOT NULL,
  line BIGINT NOT NULL,
  digest {blob} NOT NULL,
  read BIGINT NOT NULL,
  created BIGINT NOT NULL,
  updated BIGINT NOT NULL,
  unchanged BIGINT NOT NULL,
  kept_out BIGINT NOT NULL,
  bad BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE INDEX imports_seq ON imports (tenant, seq);

CREATE TABLE import_faults (
  tenant TEXT NOT NULL,
  import TEXT NOT NULL,
  line BIGINT NOT NULL,
  field TEXT NOT NULL,
  detail TEXT NOT NULL,
  PRIMARY KEY (tenant, import, line)
);

-- People who are being erased, or were: email and phone are there only while it goes on; mark stands in their place.
CREATE TABLE erasures (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  seq BIGINT NOT NULL,
  contact TEXT NOT NULL,
  email TEXT,
  phone TEXT,
  mark TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('running', 'finished')),
  cursor BIGINT NOT NULL,
  until_seq BIGINT NOT NULL,
  erased BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  finished_at BIGINT,
  PRIMARY KEY (tenant, id)
);
CREATE INDEX erasures_seq ON erasures (tenant, seq);
CREATE INDEX erasures_running ON erasures (state) WHERE state = 'running';

-- list is '' where all lists are meant. address may be a keyed hash, of somebody who was erased.
CREATE TABLE suppressions (
  tenant TEXT NOT NULL,
  address TEXT NOT NULL,
  reason TEXT NOT NULL CHECK (reason IN ('hard_bounce', 'complaint', 'unsubscribe', 'manual', 'invalid')),
  list TEXT NOT NULL,
  event TEXT,
  seq BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, address, reason, list)
);
CREATE INDEX suppressions_seq ON suppressions (tenant, seq);

CREATE TABLE campaigns (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  seq BIGINT NOT NULL,
  spec {blob} NOT NULL,
  list TEXT NOT NULL,
  segment TEXT,
  state TEXT NOT NULL CHECK (state IN ('draft', 'scheduled', 'sending', 'paused', 'sent', 'cancelled')),
  -- the sequence of the last member who has a delivery; -1 when every member has one
  cursor BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  send_at BIGINT,
  throttle {blob},
  started_at BIGINT,
  finished_at BIGINT,
  PRIMARY KEY (tenant, id)
);
CREATE INDEX campaigns_open ON campaigns (state, send_at) WHERE finished_at IS NULL;

CREATE TABLE templates (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  seq BIGINT NOT NULL,
  name TEXT NOT NULL,
  subject TEXT NOT NULL,
  html TEXT,
  text TEXT,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX templates_name ON templates (tenant, name);

-- The one mail that POST /v1/messages asked for, under its delivery's id; labels are its tags and metadata.
CREATE TABLE mails (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  spec {blob} NOT NULL,
  labels {blob},
  PRIMARY KEY (tenant, id)
);

-- One row a mail, made when its delivery is claimed; flags say what has happened to it (rules.counting).
CREATE TABLE messages (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  campaign TEXT,
  hook TEXT,
  contact TEXT,
  address TEXT NOT NULL,
  sent_at BIGINT NOT NULL,
  depth BIGINT NOT NULL,
  flags BIGINT NOT NULL,
  -- when a person last opened it, and followed a link of it
  opened_at BIGINT,
  clicked_at BIGINT,
  -- what its figures follow from (rules.counting)
  history {blob},
  PRIMARY KEY (tenant, id)
);
CREATE INDEX messages_contact ON messages (tenant, contact) WHERE contact IS NOT NULL;
CREATE INDEX messages_campaign ON messages (tenant, campaign, id) WHERE campaign IS NOT NULL;

-- Opens and clicks, and whether a machine's: as the event says, until a burst shows that it was one (rules.bursts).
CREATE TABLE hits (
  tenant TEXT NOT NULL,
  message TEXT NOT NULL,
  event TEXT NOT NULL,
  time BIGINT NOT NULL,
  click BIGINT NOT NULL,
  link TEXT NOT NULL,
  ip TEXT,
  machine BIGINT NOT NULL,
  reason TEXT,
  -- whether our own pixel or link told of it
  own BIGINT NOT NULL,
  PRIMARY KEY (tenant, message, event)
);
CREATE INDEX hits_ip ON hits (tenant, ip, time) WHERE ip IS NOT NULL;

-- Counted in the same commit as the events that they count (storage.counting). dim says what name is: the
-- id of a campaign, say; parent is the campaign (or hook) of a link, and of a domain within a campaign. timing is
-- 'total' (hour 0), 'event' or 'message', and 'event day', 'message 32 days' and the like for what the hours of so long
-- come to, in UTC; hour counts since 1970. The key is in the order in which figures are read: one row a name in all, then the
-- hours of each name.
CREATE TABLE counters (
  tenant TEXT NOT NULL,
  dim TEXT NOT NULL,
  parent TEXT NOT NULL,
  name TEXT NOT NULL,
  timing TEXT NOT NULL,
  hour BIGINT NOT NULL,
  events BIGINT NOT NULL DEFAULT 0,
  deliveries BIGINT NOT NULL DEFAULT 0,
  attempted BIGINT NOT NULL DEFAULT 0,
  sent BIGINT NOT NULL DEFAULT 0,
  pending BIGINT NOT NULL DEFAULT 0,
  opened BIGINT NOT NULL DEFAULT 0,
  opened_total BIGINT NOT NULL DEFAULT 0,
  opened_machine BIGINT NOT NULL DEFAULT 0,
  clicked BIGINT NOT NULL DEFAULT 0,
  clicked_total BIGINT NOT NULL DEFAULT 0,
  clicked_machine BIGINT NOT NULL DEFAULT 0,
  bounced BIGINT NOT NULL DEFAULT 0,
  bounced_hard BIGINT NOT NULL DEFAULT 0,
  blocked BIGINT NOT NULL DEFAULT 0,
  failed BIGINT NOT NULL DEFAULT 0,
  complained BIGINT NOT NULL DEFAULT 0,
  unsubscribed BIGINT NOT NULL DEFAULT 0,
  cancelled BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant, dim, parent, timing, name, hour)
){by_key};
-- The biggest domains of a campaign, however many it has.
CREATE INDEX counters_top ON counters (tenant, dim, parent, attempted) WHERE parent <> '' AND timing = 'total';

CREATE TABLE connections (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  seq BIGINT NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  base_url TEXT,
  priority BIGINT NOT NULL,
  credentials {blob} NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
);

CREATE TABLE sources (
  tenant TEXT NOT NULL,
  id TEXT NOT NULL,
  seq BIGINT NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  credentials {blob} NOT NULL,
  refused BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
);
CREATE UNIQUE INDEX sources_id ON sources (id);
