-- Cheap Aeroflot tickets. An output of the application delivers only if its name is that of a stream created here.
CREATE OR REPLACE STREAM "DESTINATION_SQL_STREAM" ("cost" DOUBLE, "gate" VARCHAR(16));

-- SOURCE_SQL_STREAM_001 is the first (and only) parallel stream of the input SOURCE_SQL_STREAM.
CREATE OR REPLACE PUMP "STREAM_PUMP" AS
  INSERT INTO "DESTINATION_SQL_STREAM"
  SELECT STREAM "cost", "gate"
  FROM "SOURCE_SQL_STREAM_001"
  WHERE "cost" < 5000 AND "gate" = 'Aeroflot';
