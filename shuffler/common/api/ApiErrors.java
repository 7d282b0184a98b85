package com.google.ondevicepersonalization.federatedcompute.shuffler.common.api;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.dao.DataAccessException;
import org.springframework.http.HttpHeaders;
import org.springframework.http.HttpStatus;
import org.springframework.http.HttpStatusCode;
import org.springframework.http.ProblemDetail;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.ExceptionHandler;
import org.springframework.web.bind.annotation.RestControllerAdvice;
import org.springframework.web.context.request.ServletWebRequest;
import org.springframework.web.context.request.WebRequest;
import org.springframework.web.servlet.mvc.method.annotation.ResponseEntityExceptionHandler;

/**
 * What went wrong, for the sender of a request: RFC 9457 problem details. What is the sender's fault is a 4xx with a reason and one line in
 * the log, that of the request, which gives the reason; what is ours says nothing of its inside.
 */
@RestControllerAdvice
public final class ApiErrors extends ResponseEntityExceptionHandler {
  private static final Logger LOG = LoggerFactory.getLogger(ApiErrors.class);

  /** Tomcat has answered already what is no HTTP. */
  @Override
  protected ResponseEntity<Object> handleExceptionInternal(
      Exception problem, Object body, HttpHeaders headers, HttpStatusCode status, WebRequest request) {
    boolean answered = ((ServletWebRequest) request).getResponse().isCommitted();
    return answered ? null : super.handleExceptionInternal(problem, body, headers, status, request);
  }

  @ExceptionHandler
  ProblemDetail invalid(InvalidRequestException problem) {
    return ProblemDetail.forStatusAndDetail(HttpStatus.BAD_REQUEST, problem.getMessage());
  }

  @ExceptionHandler
  ProblemDetail tooLarge(LimitedBodies.TooLargeException problem) {
    return ProblemDetail.forStatusAndDetail(HttpStatus.PAYLOAD_TOO_LARGE, problem.getMessage());
  }

  /** The tables do not answer: the sender may try again. */
  @ExceptionHandler
  ResponseEntity<ProblemDetail> unavailable(DataAccessException problem) {
    LOG.error("tables", problem);
    ProblemDetail detail = ProblemDetail.forStatusAndDetail(HttpStatus.SERVICE_UNAVAILABLE, "the tables do not answer; try again");
    return ResponseEntity.status(HttpStatus.SERVICE_UNAVAILABLE).header(HttpHeaders.RETRY_AFTER, "60").body(detail);
  }
}
