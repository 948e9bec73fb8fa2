DROP INDEX links_by_url;
