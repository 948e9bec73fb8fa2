-- The analytics database (SQLite). GET /api/export writes INSERT statements for exactly these tables (FR-9).
-- It equals what all files of migrations/ make when they are applied in order.

CREATE TABLE links (
  code TEXT NOT NULL PRIMARY KEY CHECK (length(code) BETWEEN 3 AND 32),
  url TEXT NOT NULL CHECK (length(url) <= 2048),
  created_at TEXT NOT NULL,
  clicks INTEGER NOT NULL DEFAULT 0 CHECK (clicks >= 0),
  last_accessed_at TEXT
);

CREATE INDEX links_created_at ON links (created_at);

CREATE TABLE daily_clicks (
  code TEXT NOT NULL REFERENCES links (code) ON DELETE CASCADE,
  day TEXT NOT NULL CHECK (length(day) = 10),
  clicks INTEGER NOT NULL CHECK (clicks > 0),
  PRIMARY KEY (code, day)
);
