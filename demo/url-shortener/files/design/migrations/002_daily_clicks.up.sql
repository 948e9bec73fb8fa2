CREATE TABLE daily_clicks (
  code TEXT NOT NULL REFERENCES links (code) ON DELETE CASCADE,
  day TEXT NOT NULL CHECK (length(day) = 10),
  clicks INTEGER NOT NULL CHECK (clicks > 0),
  PRIMARY KEY (code, day)
);
