DROP INDEX links_created_at;
DROP TABLE links;
