package com.google.ondevicepersonalization.federatedcompute.shuffler.common.api;

import jakarta.servlet.FilterChain;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.MDC;
import org.springframework.web.filter.OncePerRequestFilter;

/**
 * Puts the caller's correlation id, and a random one of the request, into every line that is logged for it, and logs its outcome, with the
 * reason if it is refused.
 *
 * <p>Queries of URLs are never logged: they may be signatures.
 */
public final class CorrelationId extends OncePerRequestFilter {
  private static final Logger LOG = LoggerFactory.getLogger(CorrelationId.class);
  /** Attribute of a request: why it is refused. */
  static final String REASON = CorrelationId.class.getName() + ".reason";

  /** Attribute of a request for which there is a line in the log. */
  static final String LOGGED = CorrelationId.class.getName() + ".logged";

  private static final String HEADER = "odp-correlation-id";
  private static final String CORRELATION = "correlation_id";
  private static final String REQUEST = "request_id";
  private static final int LONGEST = 256;

  /** The correlation id of the request that this thread serves; the random one if the caller gave none. */
  public static String current() {
    String given = MDC.get(CORRELATION);
    return given != null ? given : String.valueOf(MDC.get(REQUEST));
  }

  @Override
  protected boolean shouldNotFilter(HttpServletRequest request) {
    String path = request.getRequestURI();
    return path.equals("/healthz") || path.equals("/ready") || path.startsWith("/actuator/");
  }

  @Override
  protected void doFilterInternal(HttpServletRequest request, HttpServletResponse response, FilterChain chain)
      throws ServletException, IOException {
    long start = System.nanoTime();
    String given = request.getHeader(HEADER);
    int status = HttpServletResponse.SC_INTERNAL_SERVER_ERROR;
    try {
      MDC.put(REQUEST, UUID.randomUUID().toString());
      if (given != null && !given.isEmpty()) {
        MDC.put(CORRELATION, printable(given));
      }
      chain.doFilter(request, response);
      status = response.getStatus();
    } finally {
      long milliseconds = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
      Object reason = request.getAttribute(REASON);
      LOG.info(
          "{} {} {} {} ms{}",
          printable(request.getMethod()),
          printable(request.getRequestURI()),
          status,
          milliseconds,
          reason == null ? "" : ": " + reason);
      request.setAttribute(LOGGED, true);
      MDC.remove(CORRELATION);
      MDC.remove(REQUEST);
    }
  }

  /** A text of others: short, and one line. */
  static String printable(String text) {
    if (text == null) {
      return "-";
    }
    String cut = text.length() > LONGEST ? text.substring(0, LONGEST) : text;
    return cut.replaceAll("\\p{Cntrl}", "?");
  }
}
