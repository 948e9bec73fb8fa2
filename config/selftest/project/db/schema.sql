-- Links by code.
CREATE TABLE links (
  code TEXT PRIMARY KEY,
  url TEXT NOT NULL CHECK (length(url) >= 8),
  created_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX links_by_url ON links (url);
