DROP TABLE deployment_failure;
DROP TABLE source_version;
DROP TABLE source;
DROP TABLE object_version;
DROP TABLE object;
DROP TABLE counter;
