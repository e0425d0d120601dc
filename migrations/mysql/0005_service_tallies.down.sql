DROP TABLE service_tally;
