PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE _meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO _meta VALUES('fingerprint_key',X'e4ff305aa63cbb3ef759b44eef8d7d91');
CREATE TABLE seeds (url TEXT PRIMARY KEY, origin TEXT NOT NULL, folder TEXT, run INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO seeds VALUES('http://127.0.0.1:8098/index.html','argument',NULL,1);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    started TEXT NOT NULL,
    ended TEXT,
    finish_reason TEXT,
    config TEXT NOT NULL,
    versions TEXT NOT NULL,
    committed INTEGER NOT NULL DEFAULT 0,  -- number of the last batch
    candidates INTEGER NOT NULL DEFAULT 0, -- rows of _candidates now
    merges INTEGER NOT NULL DEFAULT 0,     -- of all runs so far
    urls INTEGER NOT NULL DEFAULT 0,       -- what this run added: URLs, ...
    ended_urls INTEGER NOT NULL DEFAULT 0,
    pages INTEGER NOT NULL DEFAULT 0,
    items INTEGER NOT NULL DEFAULT 0,
    item_errors INTEGER NOT NULL DEFAULT 0,
    requests INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0
);
INSERT INTO runs VALUES(1,'2026-11-24T00:42:54.580Z','2026-11-24T00:42:55.776Z','max-pages','{"ledger":"","scope":"host","include":[],"exclude":[],"max_depth":-1,"max_pages":2,"max_seconds":0.0,"obey_nofollow":true,"delay_seconds":0.0,"per_host":1,"obey_robots":true,"robots_max_age_seconds":86400.0,"robots_give_up_seconds":60.0,"user_agent":"poolcrawl/0.1.0 (+https://pypi.org/project/poolcrawl/)","headers":{},"transport":"requests","concurrency":64,"timeout_seconds":30.0,"retries":2,"retry_wait_seconds":1.0,"retry_wait_max_seconds":300.0,"max_body_bytes":10000000,"allow_private":[],"processes":-1,"consumers":1,"start_method":"auto","durability":"process","page_deadline_seconds":60.0,"stall_seconds":60.0,"worker_setup":"","parse":"","log_seconds":0.0}','{}',4,0,3,4,2,2,0,0,3,19370);
CREATE TABLE _hosts (
    id INTEGER PRIMARY KEY,
    host TEXT NOT NULL UNIQUE,
    named INTEGER NOT NULL DEFAULT 0,      -- a seed names it: its addresses may be private
    local INTEGER NOT NULL DEFAULT 0,      -- a folder that we serve ourselves: no delay
    widened INTEGER NOT NULL DEFAULT 0,    -- in scope because a seed redirected to it
    next_seq INTEGER NOT NULL DEFAULT 0,
    merge INTEGER NOT NULL DEFAULT 0,      -- the last merge that gave it URLs
    asked INTEGER NOT NULL DEFAULT 0,
    asked_at REAL NOT NULL DEFAULT 0,      -- Unix time of the end of the last exchange
    failures INTEGER NOT NULL DEFAULT 0,   -- in a row
    retry_at REAL NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0,
    robots_verdict TEXT NOT NULL DEFAULT '',
    robots_tries INTEGER NOT NULL DEFAULT 0,
    robots_status INTEGER NOT NULL DEFAULT 0,
    robots_reason TEXT NOT NULL DEFAULT '',
    robots_body TEXT NOT NULL DEFAULT '',
    crawl_delay REAL,
    robots_host TEXT NOT NULL DEFAULT '',  -- where a redirect says the robots.txt is
    robots_target TEXT NOT NULL DEFAULT '',
    robots_redirects INTEGER NOT NULL DEFAULT 0,
    robots_fetched_at REAL NOT NULL DEFAULT 0
);
INSERT INTO _hosts VALUES(1,'http://127.0.0.1:8098',1,0,0,4,2,3,1795480975.766153097,0,0.0,19370,'allow',1,404,'','',NULL,'http://127.0.0.1:8098','/robots.txt',0,1795480975.4611907005);
CREATE TABLE _urls (
    host_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    target TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued',
    reason TEXT,
    error TEXT,
    hop TEXT NOT NULL,
    depth INTEGER NOT NULL,
    redirects INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    via_host_id INTEGER,
    via_seq INTEGER,
    PRIMARY KEY (host_id, seq)
) WITHOUT ROWID;
INSERT INTO _urls VALUES(1,0,'/index.html','done','ok',NULL,'L',0,0,1,NULL,NULL);
INSERT INTO _urls VALUES(1,1,'/p1.html','done','ok',NULL,'L',1,0,1,1,0);
INSERT INTO _urls VALUES(1,2,'/p2.html','queued',NULL,NULL,'L',1,0,0,1,0);
INSERT INTO _urls VALUES(1,3,'/p3.html','queued',NULL,NULL,'L',1,0,0,1,0);
CREATE TABLE _seen (
    fingerprint INTEGER PRIMARY KEY,
    host_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    depth INTEGER NOT NULL,
    redirects INTEGER NOT NULL
);
INSERT INTO _seen VALUES(-2937705613504072146,1,0,0,0);
INSERT INTO _seen VALUES(-2218916402682426384,1,2,1,0);
INSERT INTO _seen VALUES(-752845967566921441,1,3,1,0);
INSERT INTO _seen VALUES(2179722386603785015,1,1,1,0);
CREATE TABLE _candidates (
    id INTEGER PRIMARY KEY,
    fingerprint INTEGER NOT NULL,
    host TEXT NOT NULL,
    target TEXT NOT NULL,
    hop TEXT NOT NULL,
    depth INTEGER NOT NULL,
    redirects INTEGER NOT NULL,
    via_host_id INTEGER,
    via_seq INTEGER
);
CREATE TABLE _parked (
    fingerprint INTEGER PRIMARY KEY,
    host TEXT NOT NULL,
    target TEXT NOT NULL,
    hop TEXT NOT NULL,
    depth INTEGER NOT NULL,
    redirects INTEGER NOT NULL,
    via_host_id INTEGER,
    via_seq INTEGER
);
CREATE TABLE _pages (
    host_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    status INTEGER NOT NULL,
    fetch_time_ms INTEGER NOT NULL,
    elapsed_ms INTEGER NOT NULL,
    content_type TEXT,
    charset TEXT,
    size INTEGER,
    wire_size INTEGER,
    digest TEXT,
    ip TEXT,
    http_version TEXT,
    redirect_url TEXT,
    etag TEXT,
    last_modified TEXT,
    title TEXT,
    meta_description TEXT,
    h1 TEXT,
    canonical TEXT,
    lang TEXT,
    meta_robots TEXT,
    links TEXT,
    links_found INTEGER NOT NULL,
    links_bad INTEGER NOT NULL,
    nofollow INTEGER NOT NULL,
    item_error TEXT,
    UNIQUE (host_id, seq)
);
INSERT INTO _pages VALUES(1,0,200,1795480975618,16,'text/html','utf-8',12732,12732,'sha256:0857b40fc70c6f540a238b166ee08a7c5aae5477695c39ef550fe31a96073269','127.0.0.1','1.1',NULL,'"6af6f084-31bc"','Fri, 13 Nov 2026 11:12:04 GMT','PostgreSQL 15.20 Documentation',NULL,'PostgreSQL 15.20 Documentation',NULL,NULL,NULL,'[{"url":"http://127.0.0.1:8098/preface.html","text":"Preface"}]',114,0,0,NULL);
INSERT INTO _pages VALUES(1,1,200,1795480975760,5,'text/html','utf-8',6485,6485,'sha256:dc7325b798c2bbfe9cb10099341997207b3566be61eec9b24838daf0e7b1e798','127.0.0.1','1.1',NULL,'"6af6f084-1955"','Fri, 13 Nov 2026 11:12:04 GMT','Preface',NULL,'Preface',NULL,NULL,NULL,'[{"url":"http://127.0.0.1:8098/preface.html","text":"Preface"}]',28,0,0,NULL);
CREATE TABLE _items (
    host_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    number INTEGER NOT NULL,
    item TEXT NOT NULL,
    PRIMARY KEY (host_id, seq, number)
);
CREATE INDEX _hosts_by_merge ON _hosts (merge);
CREATE INDEX _hosts_widened ON _hosts (host) WHERE widened;
CREATE INDEX _urls_ready ON _urls (host_id, attempts, seq) WHERE state = 'queued';
CREATE INDEX _parked_by_host ON _parked (host);
CREATE VIEW urls AS
SELECT h.host || u.target AS url, h.host, u.state, u.reason, u.error, u.depth,
       vh.host || v.target AS via, u.hop, u.attempts, u.redirects
FROM _urls u JOIN _hosts h ON h.id = u.host_id
LEFT JOIN _urls v ON v.host_id = u.via_host_id AND v.seq = u.via_seq
LEFT JOIN _hosts vh ON vh.id = u.via_host_id;
CREATE VIEW pages AS
SELECT h.host || u.target AS url, p.status,
       strftime('%Y-%m-%dT%H:%M:%fZ', p.fetch_time_ms / 1000.0, 'unixepoch') AS fetch_time, p.elapsed_ms,
       p.content_type, p.charset, p.size, p.wire_size, p.digest, p.ip, p.http_version, p.title, p.meta_description,
       p.h1, p.canonical, p.lang, p.meta_robots, p.redirect_url, p.etag, p.last_modified, u.depth,
       vh.host || v.target AS via, u.hop, p.links, p.links_found, p.links_bad, p.nofollow, p.item_error
FROM _pages p JOIN _urls u ON u.host_id = p.host_id AND u.seq = p.seq JOIN _hosts h ON h.id = p.host_id
LEFT JOIN _urls v ON v.host_id = u.via_host_id AND v.seq = u.via_seq
LEFT JOIN _hosts vh ON vh.id = u.via_host_id;
CREATE VIEW items AS
SELECT h.host || u.target AS url, i.number, i.item
FROM _items i JOIN _urls u ON u.host_id = i.host_id AND u.seq = i.seq JOIN _hosts h ON h.id = i.host_id;
CREATE VIEW hosts AS
SELECT host, named, local, widened, next_seq AS urls, asked AS requests, bytes, failures AS failures_in_a_row,
       strftime('%Y-%m-%dT%H:%M:%fZ', nullif(asked_at, 0), 'unixepoch') AS asked_at,
       robots_verdict, robots_status, robots_reason, robots_tries, robots_body, crawl_delay,
       strftime('%Y-%m-%dT%H:%M:%fZ', nullif(robots_fetched_at, 0), 'unixepoch') AS robots_fetched_at
FROM _hosts;
COMMIT;
