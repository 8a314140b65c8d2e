BEGIN TRANSACTION;
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
CREATE TABLE _fragments (
    host_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    anchors TEXT,                          -- JSON array; null: not known
    links TEXT NOT NULL,                   -- JSON array of [url, fragment, text, decoded], of those with a fragment
    UNIQUE (host_id, seq)
);
INSERT INTO "_fragments" VALUES(1,0,'[]','[["http://127.0.0.1:8097/b","there","b",null],["http://127.0.0.2:8097/x","y","x",null]]');
INSERT INTO "_fragments" VALUES(1,1,'[]','[["http://127.0.0.1:8097/b","nowhere","b",null]]');
INSERT INTO "_fragments" VALUES(2,0,'["y"]','[]');
INSERT INTO "_fragments" VALUES(1,3,NULL,'[]');
INSERT INTO "_fragments" VALUES(1,4,'["there"]','[]');
INSERT INTO "_fragments" VALUES(1,5,'[]','[]');
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
    elapsed_ms INTEGER NOT NULL DEFAULT 0, -- of all requests together
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
INSERT INTO "_hosts" VALUES(1,'http://127.0.0.1:8097',1,0,0,12,7,9,1.7956343063176591397e+09,0,0.0,485,309,'allow',1,404,'','',NULL,'http://127.0.0.1:8097','/robots.txt',0,1.79563430598153686524e+09);
INSERT INTO "_hosts" VALUES(2,'http://127.0.0.2:8097',0,0,0,2,2,2,1.79563430610599803925e+09,0,0.0,28,45,'allow',1,404,'','',NULL,'http://127.0.0.2:8097','/robots.txt',0,1.79563430604187846189e+09);
CREATE TABLE _items (
    host_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    number INTEGER NOT NULL,
    item TEXT NOT NULL,
    PRIMARY KEY (host_id, seq, number)
);
INSERT INTO "_items" VALUES(1,0,0,'{"path":"http://127.0.0.1:8097/"}');
INSERT INTO "_items" VALUES(1,1,0,'{"path":"http://127.0.0.1:8097/a"}');
INSERT INTO "_items" VALUES(1,4,0,'{"path":"http://127.0.0.1:8097/b"}');
INSERT INTO "_items" VALUES(1,5,0,'{"path":"http://127.0.0.1:8097/hooked"}');
CREATE TABLE _meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO "_meta" VALUES('fingerprint_key',X'E663ED89603FF987CCFCD2568199DCDA');
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
INSERT INTO "_pages" VALUES(1,0,200,1795634305986,43,'text/html; charset=utf-8','utf-8',261,261,'sha256:e569fc8196efdcb5b6a4a42129cbc68dda0b3f6eb4cbb1fb5dea638622fb5f1a','127.0.0.1','1.1',NULL,NULL,NULL,'home',NULL,NULL,NULL,NULL,NULL,'[{"url":"http://127.0.0.1:8097/a","text":"a"},{"url":"http://127.0.0.1:8097/gone","text":"g"},{"url":"http://127.0.0.1:8097/moved","text":"m"},{"url":"http://127.0.0.1:8097/b","text":"b"},{"url":"http://127.0.0.2:8097/x","text":"x"},{"url":"http://127.0.0.2:8097/z","text":"z"},{"url":"http://127.0.0.1:8097/hooked","text":"h","rel":"nofollow hook"},{"url":"http://127.0.0.1:8097/s.css","rel":"embed"},{"url":"http://127.0.0.1:8097/i.png","rel":"embed"}]',7,0,0,NULL);
INSERT INTO "_pages" VALUES(1,1,200,1795634306037,44,'text/html; charset=utf-8','utf-8',98,98,'sha256:260c7e737f061ed0d5eea14751dcce13e449a032ef2c2c94b57dac001f116a95','127.0.0.1','1.1',NULL,NULL,NULL,'a',NULL,'A',NULL,NULL,NULL,'[{"url":"http://127.0.0.1:8097/","text":"home"},{"url":"http://127.0.0.1:8097/c","text":"c"},{"url":"http://127.0.0.1:8097/b","text":"b"},{"url":"http://127.0.0.1:8097/c","rel":"embed"}]',3,0,0,NULL);
INSERT INTO "_pages" VALUES(2,0,200,1795634306063,42,'text/html; charset=utf-8','utf-8',24,24,NULL,'127.0.0.2','1.1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,NULL);
INSERT INTO "_pages" VALUES(1,2,404,1795634306085,44,'text/html; charset=utf-8','utf-8',4,4,'sha256:283bb9deef02e6843abfb538efa1eca70801bd8a701c3f98191e123496339247','127.0.0.1','1.1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'[]',0,0,0,NULL);
INSERT INTO "_pages" VALUES(1,3,301,1795634306131,1,'text/html; charset=utf-8',NULL,0,NULL,NULL,'127.0.0.1','1.1','http://127.0.0.1:8097/a',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,NULL);
INSERT INTO "_pages" VALUES(1,4,200,1795634306135,42,'text/html; charset=utf-8','utf-8',52,52,'sha256:2dfb64982615f23704fb14380da41da4a98aac2d9834fa6ee44e63adddf6325b','127.0.0.1','1.1',NULL,NULL,NULL,'b',NULL,NULL,NULL,NULL,NULL,'[{"url":"http://127.0.0.1:8097/d","text":"d"}]',1,0,0,NULL);
INSERT INTO "_pages" VALUES(1,5,200,1795634306180,45,'text/html; charset=utf-8','utf-8',37,37,'sha256:b92d1fa08e8970e4153cce8cdce7d9be33ff0a0a54a8b37e8be81163a16898cc','127.0.0.1','1.1',NULL,NULL,NULL,'hooked',NULL,NULL,NULL,NULL,NULL,'[{"url":"http://127.0.0.1:8097/e","text":"e"}]',1,0,0,NULL);
INSERT INTO "_pages" VALUES(1,6,200,1795634306228,45,'text/css','utf-8',29,29,'sha256:3cd8c83f6c5494677672292c30fb47ed180ac6db8e5d0b39f927371c79c7e6df','127.0.0.1','1.1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'[{"url":"http://127.0.0.1:8097/bg.png","rel":"embed"}]',0,0,0,NULL);
INSERT INTO "_pages" VALUES(1,7,200,1795634306275,42,'image/png',NULL,4,NULL,NULL,'127.0.0.1','1.1',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,0,0,NULL);
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
CREATE TABLE _seen (
    fingerprint INTEGER PRIMARY KEY,
    host_id INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    depth INTEGER NOT NULL,
    redirects INTEGER NOT NULL
);
INSERT INTO "_seen" VALUES(-9154683002143312437,1,3,1,0);
INSERT INTO "_seen" VALUES(-4860180067092960186,1,5,1,0);
INSERT INTO "_seen" VALUES(-4098189683553577379,1,9,2,0);
INSERT INTO "_seen" VALUES(-3485262934970436155,2,1,3000001,0);
INSERT INTO "_seen" VALUES(-2887727728260276751,1,4,1,0);
INSERT INTO "_seen" VALUES(-878354934255493506,1,11,1000002,0);
INSERT INTO "_seen" VALUES(-334347509707652140,1,1,1,0);
INSERT INTO "_seen" VALUES(48171719392629,2,0,2000001,0);
INSERT INTO "_seen" VALUES(1121011666177613212,1,6,1000001,0);
INSERT INTO "_seen" VALUES(1276640931561660674,1,10,2,0);
INSERT INTO "_seen" VALUES(4324779856427536231,1,2,1,0);
INSERT INTO "_seen" VALUES(6040038604796166817,1,0,0,0);
INSERT INTO "_seen" VALUES(6759867642522438405,1,8,2,0);
INSERT INTO "_seen" VALUES(9122530684802359428,1,7,1000001,0);
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
INSERT INTO "_urls" VALUES(1,0,'/','done','ok',NULL,'L',0,0,1,NULL,NULL);
INSERT INTO "_urls" VALUES(1,1,'/a','done','ok',NULL,'L',1,0,1,1,0);
INSERT INTO "_urls" VALUES(1,2,'/gone','done','client-error',NULL,'L',1,0,1,1,0);
INSERT INTO "_urls" VALUES(1,3,'/moved','done','redirect',NULL,'L',1,0,1,1,0);
INSERT INTO "_urls" VALUES(1,4,'/b','done','ok',NULL,'L',1,0,1,1,0);
INSERT INTO "_urls" VALUES(1,5,'/hooked','done','ok',NULL,'L',1,0,1,1,0);
INSERT INTO "_urls" VALUES(1,6,'/s.css','done','ok',NULL,'E',1000001,0,1,1,0);
INSERT INTO "_urls" VALUES(1,7,'/i.png','done','ok',NULL,'E',1000001,0,1,1,0);
INSERT INTO "_urls" VALUES(1,8,'/c','queued',NULL,NULL,'L',2,0,0,1,1);
INSERT INTO "_urls" VALUES(1,9,'/d','queued',NULL,NULL,'L',2,0,0,1,4);
INSERT INTO "_urls" VALUES(1,10,'/e','queued',NULL,NULL,'L',2,0,0,1,5);
INSERT INTO "_urls" VALUES(1,11,'/bg.png','queued',NULL,NULL,'E',1000002,0,0,1,6);
INSERT INTO "_urls" VALUES(2,0,'/x','done','ok',NULL,'L',2000001,0,1,1,0);
INSERT INTO "_urls" VALUES(2,1,'/z','queued',NULL,NULL,'L',3000001,0,0,1,0);
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
INSERT INTO "runs" VALUES(1,'2026-11-25T19:18:25.819Z','2026-11-25T19:18:26.320Z','max-pages','{"ledger":"","scope":"host","include":[],"exclude":[],"max_depth":-1,"max_pages":9,"max_seconds":0.0,"obey_nofollow":true,"check_external":true,"embeds":true,"check_fragments":true,"delay_seconds":0,"per_host":1,"obey_robots":true,"robots_max_age_seconds":86400.0,"robots_give_up_seconds":60.0,"user_agent":"poolcrawl/0.1.0 (+https://pypi.org/project/poolcrawl/)","headers":{},"transport":"requests","concurrency":64,"timeout_seconds":30.0,"retries":2,"retry_wait_seconds":1.0,"retry_wait_max_seconds":300.0,"max_body_bytes":10000000,"allow_private":["127.0.0.0/8"],"processes":0,"consumers":1,"start_method":"auto","durability":"process","page_deadline_seconds":60.0,"stall_seconds":60.0,"worker_memory_mb":1024,"memory_mb":0,"worker_setup":"","parse":"","log_seconds":5.0}','{"poolcrawl": "0.1.0", "python": "3.11.7", "sqlite": "3.40.1", "normal_form": "whatwg-1"}',12,0,7,14,9,9,4,0,11,513);
CREATE TABLE seeds (url TEXT PRIMARY KEY, origin TEXT NOT NULL, folder TEXT, run INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO "seeds" VALUES('http://127.0.0.1:8097/','argument',NULL,1);
CREATE INDEX _hosts_by_merge ON _hosts (merge);
CREATE INDEX _hosts_widened ON _hosts (host) WHERE widened;
CREATE INDEX _urls_ready ON _urls (host_id, attempts, seq) WHERE state = 'queued';
CREATE INDEX _urls_not_ok ON _urls (state, reason) WHERE reason <> 'ok';
CREATE INDEX _parked_by_host ON _parked (host);
CREATE INDEX _pages_not_200 ON _pages (status) WHERE status <> 200;
CREATE INDEX _pages_item_errors ON _pages (item_error) WHERE item_error IS NOT NULL;
CREATE VIEW urls AS
SELECT h.host || u.target AS url, h.host, u.state, u.reason, u.error, u.depth % 1000000 AS depth,
       vh.host || v.target AS via, u.hop, u.attempts, u.redirects
FROM _urls u JOIN _hosts h ON h.id = u.host_id
LEFT JOIN _urls v ON v.host_id = u.via_host_id AND v.seq = u.via_seq
LEFT JOIN _hosts vh ON vh.id = u.via_host_id;
CREATE VIEW pages AS
SELECT h.host || u.target AS url, p.status,
       strftime('%Y-%m-%dT%H:%M:%fZ', p.fetch_time_ms / 1000.0, 'unixepoch') AS fetch_time, p.elapsed_ms,
       p.content_type, p.charset, p.size, p.wire_size, p.digest, p.ip, p.http_version, p.title, p.meta_description,
       p.h1, p.canonical, p.lang, p.meta_robots, p.redirect_url, p.etag, p.last_modified,
       u.depth % 1000000 AS depth,
       vh.host || v.target AS via, u.hop, p.links, p.links_found, p.links_bad, p.nofollow, p.item_error
FROM _pages p JOIN _urls u ON u.host_id = p.host_id AND u.seq = p.seq JOIN _hosts h ON h.id = p.host_id
LEFT JOIN _urls v ON v.host_id = u.via_host_id AND v.seq = u.via_seq
LEFT JOIN _hosts vh ON vh.id = u.via_host_id;
CREATE VIEW items AS
SELECT h.host || u.target AS url, i.number, i.item
FROM _items i JOIN _urls u ON u.host_id = i.host_id AND u.seq = i.seq JOIN _hosts h ON h.id = i.host_id;
CREATE VIEW hosts AS
SELECT host, named, local, widened, next_seq AS urls, asked AS requests, bytes, elapsed_ms,
       failures AS failures_in_a_row,
       strftime('%Y-%m-%dT%H:%M:%fZ', nullif(asked_at, 0), 'unixepoch') AS asked_at,
       robots_verdict, robots_status, robots_reason, robots_tries, robots_body, crawl_delay,
       strftime('%Y-%m-%dT%H:%M:%fZ', nullif(robots_fetched_at, 0), 'unixepoch') AS robots_fetched_at
FROM _hosts;
CREATE VIEW links AS
SELECT p.url AS source, json_extract(link.value, '$.url') AS url, json_extract(link.value, '$.text') AS text,
       json_extract(link.value, '$.rel') AS rel
FROM pages p, json_each(p.links) link;
CREATE VIEW broken_links AS
WITH broken AS MATERIALIZED (
    SELECT h.host || u.target AS url, p.status, u.reason, u.error, u.via_host_id, u.via_seq
    FROM _pages p JOIN _urls u ON u.host_id = p.host_id AND u.seq = p.seq JOIN _hosts h ON h.id = u.host_id
    WHERE p.status <> 200 AND p.status >= 400 AND u.state = 'done'
    UNION ALL
    SELECT h.host || u.target, p.status, u.reason, u.error, u.via_host_id, u.via_seq
    FROM _urls u JOIN _hosts h ON h.id = u.host_id LEFT JOIN _pages p ON p.host_id = u.host_id AND p.seq = u.seq
    WHERE u.reason <> 'ok' AND u.state = 'failed' AND u.reason <> 'blocked-address')
SELECT b.url, b.status, b.reason, b.error, NULL AS source, NULL AS text FROM broken b WHERE b.via_host_id IS NULL
UNION ALL
SELECT b.url, b.status, b.reason, b.error, sh.host || s.target, nullif(l.value ->> 'text', '')
FROM _pages p CROSS JOIN json_each(p.links) l CROSS JOIN broken b ON b.url = l.value ->> 'url'
CROSS JOIN _urls s ON s.host_id = p.host_id AND s.seq = p.seq CROSS JOIN _hosts sh ON sh.id = p.host_id
WHERE p.links IS NOT NULL
UNION ALL
SELECT b.url, b.status, b.reason, b.error, sh.host || s.target, NULL
FROM _pages p CROSS JOIN broken b ON b.url = p.redirect_url
CROSS JOIN _urls s ON s.host_id = p.host_id AND s.seq = p.seq CROSS JOIN _hosts sh ON sh.id = p.host_id
WHERE p.status <> 200 AND p.redirect_url IN (SELECT url FROM broken);
CREATE VIEW broken_fragments AS
WITH RECURSIVE pointed AS MATERIALIZED (
    SELECT DISTINCT l.value ->> 0 AS url, l.value ->> 1 AS fragment, l.value ->> 3 AS decoded
    FROM _fragments f CROSS JOIN json_each(f.links) l WHERE l.value ->> 1 <> ''
), moved AS MATERIALIZED (
    SELECT h.host || u.target AS url, p.redirect_url AS target
    FROM _pages p CROSS JOIN _fragments f ON f.host_id = p.host_id AND f.seq = p.seq
    CROSS JOIN _urls u ON u.host_id = p.host_id AND u.seq = p.seq CROSS JOIN _hosts h ON h.id = p.host_id
    WHERE p.status <> 200 AND p.redirect_url IS NOT NULL AND f.links = '[]'
), reached (url, page, hops) AS (
    SELECT DISTINCT url, url, 0 FROM pointed
    UNION ALL
    SELECT r.url, m.target, r.hops + 1 FROM reached r CROSS JOIN moved m ON m.url = r.page WHERE r.hops < 10
), read AS MATERIALIZED (
    SELECT h.host || u.target AS url, f.rowid AS id
    FROM _fragments f CROSS JOIN _urls u ON u.host_id = f.host_id AND u.seq = f.seq
    CROSS JOIN _hosts h ON h.id = f.host_id WHERE f.anchors IS NOT NULL
), known AS MATERIALIZED (
    SELECT r.url, k.id FROM reached r CROSS JOIN read k ON k.url = r.page
), wanted AS MATERIALIZED (
    SELECT k.id, p.url, p.fragment, p.fragment AS name FROM pointed p CROSS JOIN known k ON k.url = p.url
    UNION ALL
    SELECT k.id, p.url, p.fragment, p.decoded FROM pointed p CROSS JOIN known k ON k.url = p.url
    WHERE p.decoded IS NOT NULL
), missing AS MATERIALIZED (
    SELECT url, fragment FROM wanted
    EXCEPT
    SELECT w.url, w.fragment
    FROM (SELECT DISTINCT id FROM wanted) t CROSS JOIN _fragments f ON f.rowid = t.id
    CROSS JOIN json_each(f.anchors) a CROSS JOIN wanted w ON w.id = t.id AND w.name = a.value
)
SELECT h.host || u.target AS source, m.url, m.fragment, nullif(l.value ->> 2, '') AS text
FROM _fragments f CROSS JOIN json_each(f.links) l
CROSS JOIN missing m ON m.url = l.value ->> 0 AND m.fragment = l.value ->> 1
CROSS JOIN _urls u ON u.host_id = f.host_id AND u.seq = f.seq CROSS JOIN _hosts h ON h.id = f.host_id
WHERE EXISTS (SELECT 1 FROM missing);
CREATE VIEW redirects AS
WITH RECURSIVE step AS MATERIALIZED (
    SELECT url, status, redirect_url, via FROM pages WHERE redirect_url IS NOT NULL
), chain (url, target, hops) AS (
    SELECT url, redirect_url, 1 FROM step
    UNION ALL
    SELECT c.url, s.redirect_url, c.hops + 1 FROM chain c JOIN step s ON s.url = c.target WHERE c.hops < 20
), ends AS MATERIALIZED (
    SELECT url, target, max(hops) AS hops FROM chain GROUP BY url
), outcomes AS MATERIALIZED (
    SELECT h.host || u.target AS url, p.status, u.reason
    FROM _urls u JOIN _hosts h ON h.id = u.host_id LEFT JOIN _pages p ON p.host_id = u.host_id AND p.seq = u.seq
    WHERE h.host || u.target IN (SELECT target FROM ends)
)
SELECT s.url, s.status, s.redirect_url, e.hops, e.target AS end_url, o.status AS end_status, o.reason AS end_reason,
       s.via
FROM step s JOIN ends e ON e.url = s.url LEFT JOIN outcomes o ON o.url = e.target;
CREATE VIEW duplicates AS
SELECT digest, copies, url, size, title, canonical
FROM (SELECT *, count(*) OVER (PARTITION BY digest) AS copies FROM pages
      WHERE status BETWEEN 200 AND 299 AND digest IS NOT NULL AND size > 0)
WHERE copies > 1;
CREATE VIEW orphans AS
SELECT url, status, hop, depth, via, title FROM pages
WHERE status BETWEEN 200 AND 299 AND url NOT IN (SELECT url FROM links WHERE url <> source);
COMMIT;
