package com.google.ondevicepersonalization.federatedcompute.shuffler.taskassignment.authentication;

import com.google.ondevicepersonalization.federatedcompute.shuffler.common.tables.Database;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.util.HexFormat;

/**
 * The tokens of devices that have proved what they are. The table holds their SHA-256: who reads it learns no token, and how long a look
 * into its index takes tells nothing about one.
 */
public final class AuthorizationTokens {
  private static final Duration LIFETIME = Duration.ofDays(7);

  // More than one for each that is added, so that what has expired becomes less.
  private static final int REMOVED_AT_ONCE = 10;

  private final Database database;

  public AuthorizationTokens(Database database) {
    this.database = database;
  }

  /** Whether a token was added and has not expired. */
  boolean contains(String token, Instant now) {
    return database.query(client -> client.sql("SELECT COUNT(*) FROM allowed_authorization_token WHERE token = :token AND expired_at > :now")
            .param("token", hash(token))
            .param("now", now.atOffset(ZoneOffset.UTC))
            .query(Long.class)
            .single())
        > 0;
  }

  /** Adds a token for seven days, again if it was there, and removes some of those that have expired. */
  void add(String token, Instant now) {
    database.transact(client -> {
      client.sql("DELETE FROM allowed_authorization_token WHERE token IN"
              + " (SELECT token FROM allowed_authorization_token WHERE expired_at <= :now ORDER BY expired_at LIMIT :limit)")
          .param("now", now.atOffset(ZoneOffset.UTC))
          .param("limit", REMOVED_AT_ONCE)
          .update();
      // Spanner wants all columns, those of the key, too.
      client.sql("INSERT INTO allowed_authorization_token (token, created_at, expired_at) VALUES (:token, :now, :expires)"
              + " ON CONFLICT (token) DO UPDATE SET token = EXCLUDED.token, created_at = EXCLUDED.created_at, expired_at = EXCLUDED.expired_at")
          .param("token", hash(token))
          .param("now", now.atOffset(ZoneOffset.UTC))
          .param("expires", now.plus(LIFETIME).atOffset(ZoneOffset.UTC))
          .update();
      return null;
    });
  }

  private static String hash(String token) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(token.getBytes(StandardCharsets.UTF_8)));
    } catch (NoSuchAlgorithmException impossible) {
      throw new IllegalStateException(impossible);
    }
  }
}
