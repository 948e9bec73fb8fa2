DROP TABLE daily_clicks;
