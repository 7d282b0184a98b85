package com.google.ondevicepersonalization.federatedcompute.shuffler.common.blobs;

import jakarta.servlet.http.HttpServletRequest;
import java.io.IOException;
import java.io.InputStream;
import org.springframework.core.io.InputStreamResource;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpStatus;
import org.springframework.http.MediaType;
import org.springframework.http.ProblemDetail;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.ExceptionHandler;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PutMapping;
import org.springframework.web.bind.annotation.RequestParam;
import org.springframework.web.bind.annotation.RestController;

/** Serves the URLs that {@link FileBlobs} signs. */
@RestController
public final class BlobController {
  private static final String PATH = LocalUrls.PATH + "{bucket}/{*key}";

  private final FileBlobs blobs;
  private final LocalUrls urls;

  public BlobController(FileBlobs blobs, LocalUrls urls) {
    this.blobs = blobs;
    this.urls = urls;
  }

  @GetMapping(PATH)
  public ResponseEntity<InputStreamResource> download(
      @PathVariable("bucket") String bucket,
      @PathVariable("key") String key,
      @RequestParam(name = "expires", required = false) String expires,
      @RequestParam(name = "signature", required = false) String signature,
      HttpServletRequest request)
      throws LocalUrls.NotAllowedException, BlobNotFoundException, IOException {
    BlobName name = name(bucket, key);
    urls.check(LocalUrls.Method.GET, name, expires, signature, request::getHeader);
    FileBlobs.Stored stored = blobs.open(name);
    ResponseEntity.BodyBuilder answer =
        ResponseEntity.ok().contentType(MediaType.APPLICATION_OCTET_STREAM).contentLength(stored.size());
    if (stored.encoding() == Encoding.GZIP) {
      answer.header(HttpHeaders.CONTENT_ENCODING, "gzip");
    }
    return answer.body(new InputStreamResource(stored.content()));
  }

  @PutMapping(PATH)
  public ResponseEntity<Void> upload(
      @PathVariable("bucket") String bucket,
      @PathVariable("key") String key,
      @RequestParam(name = "expires", required = false) String expires,
      @RequestParam(name = "signature", required = false) String signature,
      HttpServletRequest request)
      throws LocalUrls.NotAllowedException, IOException {
    BlobName name = name(bucket, key);
    urls.check(LocalUrls.Method.PUT, name, expires, signature, request::getHeader);
    if (request.getContentLengthLong() > blobs.limit()) {
      throw new FileBlobs.TooLargeException(name, blobs.limit());
    }
    try (InputStream content = request.getInputStream()) {
      blobs.store(name, Encoding.GZIP, content);
    }
    return ResponseEntity.ok().build();
  }

  @ExceptionHandler
  ProblemDetail refused(LocalUrls.NotAllowedException problem) {
    return ProblemDetail.forStatusAndDetail(HttpStatus.FORBIDDEN, problem.getMessage());
  }

  @ExceptionHandler
  ProblemDetail missing(BlobNotFoundException problem) {
    return ProblemDetail.forStatusAndDetail(HttpStatus.NOT_FOUND, "there is no such blob");
  }

  @ExceptionHandler
  ProblemDetail malformed(IllegalArgumentException problem) {
    return ProblemDetail.forStatusAndDetail(HttpStatus.BAD_REQUEST, problem.getMessage());
  }

  @ExceptionHandler
  ProblemDetail incomplete(FileBlobs.IncompleteException problem) {
    return ProblemDetail.forStatusAndDetail(HttpStatus.BAD_REQUEST, problem.getMessage());
  }

  @ExceptionHandler
  ProblemDetail tooLarge(FileBlobs.TooLargeException problem) {
    return ProblemDetail.forStatusAndDetail(HttpStatus.PAYLOAD_TOO_LARGE, problem.getMessage());
  }

  private static BlobName name(String bucket, String key) {
    // The slash before the key belongs to the variable; without a key there is none.
    return new BlobName(bucket, key.isEmpty() ? "" : key.substring(1));
  }
}
