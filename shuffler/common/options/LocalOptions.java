package com.google.ondevicepersonalization.federatedcompute.shuffler.common.options;

import static com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Types.text;
import static com.google.ondevicepersonalization.federatedcompute.shuffler.common.options.Types.url;

import java.net.URI;
import java.util.List;

/** {@code LOCAL_OPTS}: where the services of one machine find what they share. Read in the profile local only. */
public final class LocalOptions {
  public static final Option<String> DATABASE_URL = text("database_url");
  public static final Option<String> METRICS_DATABASE_URL = text("metrics_database_url");
  public static final Option<String> DATABASE_USER = text("database_user");
  public static final Option<String> DATABASE_PASSWORD = text("database_password");

  /** Holds the blobs and the key that signs their URLs. */
  public static final Option<String> BLOB_FOLDER = text("blob_folder");

  /** Where devices reach task assignment, which serves the blobs. */
  public static final Option<URI> PUBLIC_URL = url("public_url");

  public static final OptionTable TABLE = new OptionTable(
      "LOCAL_OPTS", List.of(DATABASE_URL, METRICS_DATABASE_URL, DATABASE_USER, DATABASE_PASSWORD, BLOB_FOLDER, PUBLIC_URL));

  private LocalOptions() {}
}
