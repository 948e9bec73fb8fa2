CREATE TABLE links (
  code TEXT NOT NULL PRIMARY KEY CHECK (length(code) BETWEEN 3 AND 32),
  url TEXT NOT NULL CHECK (length(url) <= 2048),
  created_at TEXT NOT NULL,
  clicks INTEGER NOT NULL DEFAULT 0 CHECK (clicks >= 0),
  last_accessed_at TEXT
);

CREATE INDEX links_created_at ON links (created_at);
