package com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.gcp;

import com.google.api.core.ApiClock;
import com.google.api.gax.paging.Page;
import com.google.api.gax.retrying.RetrySettings;
import com.google.auth.oauth2.GoogleCredentials;
import com.google.cloud.http.HttpTransportOptions;
import com.google.cloud.storage.Blob;
import com.google.cloud.storage.BlobId;
import com.google.cloud.storage.BlobInfo;
import com.google.cloud.storage.HttpMethod;
import com.google.cloud.storage.HttpStorageOptions;
import com.google.cloud.storage.Storage;
import com.google.cloud.storage.Storage.BlobField;
import com.google.cloud.storage.Storage.BlobGetOption;
import com.google.cloud.storage.Storage.BlobListOption;
import com.google.cloud.storage.Storage.BlobSourceOption;
import com.google.cloud.storage.Storage.BlobTargetOption;
import com.google.cloud.storage.Storage.SignUrlOption;
import com.google.cloud.storage.StorageException;
import com.google.cloud.storage.StorageOptions;
import com.google.cloud.storage.StorageRetryStrategy;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobName;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.BlobNotFoundException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Blobs;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.DamagedBlobException;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Encoding;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.Gzip;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs.SignedUrl;
import java.io.IOException;
import java.net.URI;
import java.nio.ByteBuffer;
import java.time.Clock;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.zip.CRC32C;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Blobs in Cloud Storage, by Google's client: what the profile {@code gcp} uses.
 *
 * <p>Every request may be repeated without harm, and is, a few times: a write replaces a blob as a whole, or finds one there. Content is checked by CRC32C, by
 * the client on the way there, here on the way back.
 */
public final class CloudBlobs implements Blobs, AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(CloudBlobs.class);
  private static final int CONNECT_MILLISECONDS = 10_000;
  // Also the time that the store may take to keep a large blob.
  private static final int READ_MILLISECONDS = 60_000;
  private static final RetrySettings RETRIES = RetrySettings.newBuilder()
      .setInitialRetryDelayDuration(Duration.ofMillis(250))
      .setRetryDelayMultiplier(2)
      .setMaxRetryDelayDuration(Duration.ofSeconds(8))
      .setMaxAttempts(6)
      .setTotalTimeoutDuration(Duration.ofMinutes(2))
      .build();
  private static final int NOT_FOUND = 404;
  private static final int PRECONDITION_FAILED = 412;

  private static final int READS = 5;

  // Names are mostly UUIDs: the ranges of their first letter are about equally large.
  private static final List<String> RANGES = List.of("1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c", "d", "e", "f");

  private final Storage storage;
  private final Optional<CdnUrls> cdn;
  private final int limit;
  private final ExecutorService listers;

  CloudBlobs(Storage storage, Optional<CdnUrls> cdn, int limit) {
    this.storage = storage;
    this.cdn = cdn;
    this.limit = limit;
    this.listers = Executors.newFixedThreadPool(RANGES.size() + 1, task -> {
      Thread thread = new Thread(task, "list-blobs");
      thread.setDaemon(true);
      return thread;
    });
  }

  /**
   * Uses Cloud Storage as the service account of the machine.
   *
   * @param project of Google Cloud
   * @param cdn in front of the bucket of models; devices download from it, if there is one
   * @param limit most bytes of a blob, stored or decompressed
   * @throws BlobException if the machine has no service account
   */
  public static CloudBlobs connect(String project, Clock clock, Optional<CdnUrls> cdn, int limit) {
    try {
      GoogleCredentials credentials = GoogleCredentials.getApplicationDefault();
      return new CloudBlobs(options(clock).setProjectId(project).setCredentials(credentials).build().getService(), cdn, limit);
    } catch (IOException none) {
      throw new BlobException("Cloud Storage: expected credentials of a service account, found none: " + none.getMessage(), none);
    }
  }

  static HttpStorageOptions.Builder options(Clock clock) {
    return StorageOptions.http()
        .setTransportOptions(
            HttpTransportOptions.newBuilder().setConnectTimeout(CONNECT_MILLISECONDS).setReadTimeout(READ_MILLISECONDS).build())
        .setRetrySettings(RETRIES)
        .setStorageRetryStrategy(StorageRetryStrategy.getUniformStorageRetryStrategy())
        .setClock(new ApiClock() {
          @Override
          public long nanoTime() {
            return System.nanoTime();
          }

          @Override
          public long millisTime() {
            return clock.millis();
          }
        });
  }

  @Override
  public void write(BlobName name, byte[] content) {
    try {
      create(name, content);
    } catch (StorageException problem) {
      throw failure("cannot write " + name, problem);
    }
  }

  @Override
  public boolean writeIfAbsent(BlobName name, byte[] content) {
    try {
      create(name, content, BlobTargetOption.doesNotExist());
      return true;
    } catch (StorageException problem) {
      if (problem.getCode() == PRECONDITION_FAILED) {
        return false;
      }
      throw failure("cannot write " + name, problem);
    }
  }

  private void create(BlobName name, byte[] content, BlobTargetOption... conditions) {
    BlobInfo info = BlobInfo.newBuilder(id(name)).setContentType("application/octet-stream").setContentEncoding("gzip").build();
    List<BlobTargetOption> options = new ArrayList<>(List.of(conditions));
    // Else the client would compress the request, too.
    options.add(BlobTargetOption.disableGzipContent());
    storage.create(info, Gzip.compress(content), options.toArray(BlobTargetOption[]::new));
  }

  @Override
  public byte[] read(BlobName name) throws BlobNotFoundException {
    for (int attempt = 1; attempt <= READS; attempt++) {
      Blob blob = metadata(name);
      if (blob.getSize() > limit) {
        throw new DamagedBlobException(name + ": expected at most " + limit + " bytes, found " + blob.getSize());
      }
      Optional<byte[]> stored = content(name, blob);
      if (stored.isPresent()) {
        return encoding(blob) == Encoding.GZIP ? Gzip.decompress(stored.get(), limit) : stored.get();
      }
    }
    throw new BlobException("cannot read " + name + ": it was replaced, or damaged on the way, " + READS + " times");
  }

  @Override
  public Encoding encoding(BlobName name) throws BlobNotFoundException {
    return encoding(metadata(name));
  }

  @Override
  public boolean exists(BlobName name) {
    return find(name).isPresent();
  }

  @Override
  public List<String> folders(String bucket, String prefix) {
    String folder = new BlobName(bucket, prefix).key() + "/";
    try {
      Page<Blob> first = page(bucket, folder);
      return List.copyOf(first.hasNextPage() ? inParallel(bucket, folder) : names(first, folder));
    } catch (StorageException problem) {
      throw failure("cannot list gs://" + bucket + "/" + prefix, problem);
    }
  }

  @Override
  public SignedUrl uploadUrl(BlobName name, Duration lifetime) {
    return new SignedUrl(sign(HttpMethod.PUT, name, lifetime, UPLOAD_HEADERS), UPLOAD_HEADERS);
  }

  @Override
  public SignedUrl downloadUrl(BlobName name, Duration lifetime) {
    URI url = cdn.isPresent() ? cdn.get().sign(name, lifetime) : sign(HttpMethod.GET, name, lifetime, Map.of());
    return new SignedUrl(url, Map.of());
  }

  /**
   * Looks whether a bucket can be reached.
   *
   * @throws BlobException if it is not there, may not be used, or does not answer
   */
  public void check(String bucket) {
    try {
      // Not its metadata: who may use the blobs of a bucket need not have the right to see those.
      storage.list(bucket, BlobListOption.pageSize(1), BlobListOption.fields(BlobField.NAME));
    } catch (StorageException problem) {
      throw failure("cannot list gs://" + bucket, problem);
    }
  }

  @Override
  public void close() throws Exception {
    listers.shutdownNow();
    storage.close();
  }

  /** Signs a URL by V4, whatever the key: credentials without one ask IAM to sign. */
  URI sign(HttpMethod method, BlobName name, Duration lifetime, Map<String, String> headers) {
    try {
      return URI.create(storage.signUrl(
              BlobInfo.newBuilder(id(name)).build(),
              lifetime.toSeconds(),
              TimeUnit.SECONDS,
              SignUrlOption.withV4Signature(),
              SignUrlOption.withPathStyle(),
              SignUrlOption.withHostName(storage.getOptions().getHost().replaceFirst("/$", "")),
              SignUrlOption.httpMethod(method),
              SignUrlOption.withExtHeaders(headers))
          .toString());
    } catch (RuntimeException problem) {
      // Whatever the kind of credentials throws.
      throw new BlobException("cannot sign a URL of " + name + ": " + problem.getMessage(), problem);
    }
  }

  private Blob metadata(BlobName name) throws BlobNotFoundException {
    return find(name).orElseThrow(() -> new BlobNotFoundException(name));
  }

  private Optional<Blob> find(BlobName name) {
    try {
      return Optional.ofNullable(storage.get(
          id(name), BlobGetOption.fields(BlobField.GENERATION, BlobField.SIZE, BlobField.CONTENT_ENCODING, BlobField.CRC32C)));
    } catch (StorageException problem) {
      throw failure("cannot look for " + name, problem);
    }
  }

  /** The content that belongs to the metadata; empty if it was replaced since, or damaged on the way. */
  private Optional<byte[]> content(BlobName name, Blob blob) {
    try {
      byte[] stored = storage.readAllBytes(blob.getBlobId(), BlobSourceOption.shouldReturnRawInputStream(true));
      return Optional.of(stored).filter(content -> crc32c(content).equals(blob.getCrc32c()));
    } catch (StorageException problem) {
      if (problem.getCode() == NOT_FOUND) {
        return Optional.empty();
      }
      throw failure("cannot read " + name, problem);
    }
  }

  private Page<Blob> page(String bucket, String folder, BlobListOption... range) {
    List<BlobListOption> options = new ArrayList<>(List.of(range));
    options.add(BlobListOption.prefix(folder));
    options.add(BlobListOption.currentDirectory());
    options.add(BlobListOption.fields(BlobField.NAME));
    return storage.list(bucket, options.toArray(BlobListOption[]::new));
  }

  private TreeSet<String> inParallel(String bucket, String folder) {
    List<Future<TreeSet<String>>> parts = new ArrayList<>();
    for (int i = 0; i <= RANGES.size(); i++) {
      List<BlobListOption> range = new ArrayList<>();
      if (i > 0) {
        range.add(BlobListOption.startOffset(folder + RANGES.get(i - 1)));
      }
      if (i < RANGES.size()) {
        range.add(BlobListOption.endOffset(folder + RANGES.get(i)));
      }
      parts.add(listers.submit(() -> names(page(bucket, folder, range.toArray(BlobListOption[]::new)), folder)));
    }
    TreeSet<String> all = new TreeSet<>();
    try {
      for (Future<TreeSet<String>> part : parts) {
        all.addAll(part.get());
      }
    } catch (ExecutionException problem) {
      throw problem.getCause() instanceof StorageException known ? known : new IllegalStateException(problem.getCause());
    } catch (InterruptedException stop) {
      Thread.currentThread().interrupt();
      throw new BlobException("listing of gs://" + bucket + "/" + folder + " was interrupted", stop);
    } finally {
      parts.forEach(part -> part.cancel(true));
    }
    return all;
  }

  private static TreeSet<String> names(Page<Blob> first, String folder) {
    TreeSet<String> names = new TreeSet<>();
    for (Blob found : first.iterateAll()) {
      if (found.isDirectory()) {
        names.add(found.getName().substring(folder.length(), found.getName().length() - 1));
      }
    }
    return names;
  }

  private static Encoding encoding(Blob blob) {
    String encoding = blob.getContentEncoding();
    if ("gzip".equals(encoding)) {
      return Encoding.GZIP;
    }
    if (encoding != null && !encoding.isEmpty()) {
      LOG.warn("{}: expected no Content-Encoding or gzip, found another; taken as it is", blob.getBlobId().toGsUtilUri());
    }
    return Encoding.IDENTITY;
  }

  /** As Cloud Storage writes it: base64, most significant byte first. */
  private static String crc32c(byte[] content) {
    CRC32C crc = new CRC32C();
    crc.update(content);
    return Base64.getEncoder().encodeToString(ByteBuffer.allocate(Integer.BYTES).putInt((int) crc.getValue()).array());
  }

  private static BlobId id(BlobName name) {
    return BlobId.of(name.bucket(), name.key());
  }

  private static BlobException failure(String what, StorageException problem) {
    String why = String.valueOf(problem.getMessage()).lines().findFirst().orElse("");
    return new BlobException(what + ": " + (problem.getCode() == 0 ? "" : problem.getCode() + " ") + why, problem);
  }
}
