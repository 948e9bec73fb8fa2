CREATE INDEX links_by_url ON links (url);
