package com.google.ondevicepersonalization.federatedcompute.shuffler.common.api;

import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.util.Set;
import org.apache.catalina.AccessLog;
import org.apache.catalina.connector.Request;
import org.apache.catalina.connector.Response;
import org.apache.catalina.valves.ValveBase;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.http.HttpStatus;
import org.springframework.http.MediaType;

/**
 * Requests that Tomcat refuses before a filter sees them, since they are no HTTP that it takes: problem details instead of HTML, one line
 * in the log each, as for all others, and a 400 for what it does not implement (a version of HTTP, a transfer coding, CONNECT): who sends
 * that is at fault, not we.
 */
final class RefusedRequests extends ValveBase implements AccessLog {
  private static final Logger LOG = LoggerFactory.getLogger(RefusedRequests.class);
  private static final Set<Integer> NOT_IMPLEMENTED =
      Set.of(HttpServletResponse.SC_NOT_IMPLEMENTED, HttpServletResponse.SC_HTTP_VERSION_NOT_SUPPORTED);

  RefusedRequests() {
    super(true);
  }

  @Override
  public void invoke(Request request, Response response) throws IOException, ServletException {
    boolean refused = response.getStatus() >= HttpServletResponse.SC_BAD_REQUEST;
    if (!refused && isPath(request.getRequestURI()) && isType(request.getContentType())) {
      getNext().invoke(request, response);
      return;
    }
    if (!refused || NOT_IMPLEMENTED.contains(response.getStatus())) {
      response.setStatus(HttpServletResponse.SC_BAD_REQUEST);
    }
    // Tomcat lets only error pages write now.
    response.setSuspended(false);
    response.setContentType(MediaType.APPLICATION_PROBLEM_JSON_VALUE);
    HttpStatus status = HttpStatus.valueOf(response.getStatus());
    response.getReporter().write(
        "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"detail\":\"no valid HTTP request\"}"
            .formatted(status.getReasonPhrase(), status.value()));
    response.finishResponse();
  }

  /** What Tomcat takes for a path, Spring may not, such as two slashes. */
  private static boolean isPath(String uri) {
    try {
      return uri.equals(new URI(uri).getRawPath());
    } catch (URISyntaxException malformed) {
      return false;
    }
  }

  /** Spring fails where a body's type is a pattern. */
  private static boolean isType(String contentType) {
    return contentType == null || !contentType.split(";", 2)[0].contains("*");
  }

  @Override
  public void log(Request request, Response response, long time) {
    boolean logged = request.getAttribute(CorrelationId.LOGGED) != null || response.getStatus() < HttpServletResponse.SC_BAD_REQUEST;
    if (!logged) {
      LOG.info("{} {} {}: no valid HTTP request",
          CorrelationId.printable(request.getMethod()), CorrelationId.printable(request.getRequestURI()), response.getStatus());
    }
  }

  // What a proxy says of a client is not logged.

  @Override
  public void setRequestAttributesEnabled(boolean enabled) {}

  @Override
  public boolean getRequestAttributesEnabled() {
    return false;
  }
}
