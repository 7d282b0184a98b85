package com.google.ondevicepersonalization.federatedcompute.shuffler.taskassignment.authentication;

import com.google.internal.federatedcompute.v1.AuthenticationMetadata;
import com.google.internal.federatedcompute.v1.KeyAttestationAuthMetadata;
import com.google.internal.federatedcompute.v1.RejectionInfo;
import com.google.internal.federatedcompute.v1.RejectionReason;
import com.google.internal.federatedcompute.v1.RetryWindow;
import com.google.ondevicepersonalization.federatedcompute.proto.CreateTaskAssignmentResponse;
import com.google.ondevicepersonalization.federatedcompute.shuffler.common.api.InvalidRequestException;
import com.google.protobuf.ByteString;
import com.google.protobuf.Duration;
import io.micrometer.core.instrument.MeterRegistry;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.time.Clock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.springframework.web.servlet.HandlerInterceptor;

/**
 * Lets only devices in that have proved what they are, by Android key attestation.
 *
 * <p>A device chooses a token and sends it with every request. If it is not known, the answer is a challenge; the device sends the record
 * of a key that it made with that challenge, and if the attestation service accepts the record, the token is known for seven days. Whatever
 * was asked for, a refusal is a CreateTaskAssignmentResponse.
 *
 * <p>It is no servlet filter, since those match paths in another way than handlers do, and what reaches a handler must have come by here.
 */
public final class Authentication implements HandlerInterceptor {
  static final String TOKEN = "odp-authorization-key";
  static final String RECORD = "odp-authentication-key";

  private static final Logger LOG = LoggerFactory.getLogger(Authentication.class);
  private static final RetryWindow SOON = RetryWindow.newBuilder()
      .setDelayMin(Duration.newBuilder().setSeconds(60))
      .setDelayMax(Duration.newBuilder().setSeconds(300))
      .build();

  private final AuthorizationTokens tokens;
  private final AttestationService service;
  private final MeterRegistry meters;
  private final Clock clock;

  public Authentication(AuthorizationTokens tokens, AttestationService service, MeterRegistry meters, Clock clock) {
    this.tokens = tokens;
    this.service = service;
    this.meters = meters;
    this.clock = clock;
  }

  @Override
  public boolean preHandle(HttpServletRequest request, HttpServletResponse response, Object handler) throws IOException {
    String token = request.getHeader(TOKEN);
    boolean named = token != null && !token.isEmpty();
    if (named && tokens.contains(token, clock.instant())) {
      count("KNOWN");
      return true;
    }
    String record = request.getHeader(RECORD);
    if (record == null) {
      challenge(response);
      return false;
    }
    if (!named) {
      throw new InvalidRequestException(TOKEN + ": expected a token beside " + RECORD + ", found none");
    }
    return verify(token, record, response);
  }

  private void challenge(HttpServletResponse response) throws IOException {
    try {
      KeyAttestationAuthMetadata metadata =
          KeyAttestationAuthMetadata.newBuilder().setChallenge(ByteString.copyFrom(service.challenge())).build();
      RejectionInfo info = RejectionInfo.newBuilder()
          .setReason(RejectionReason.Enum.UNAUTHENTICATED)
          .setAuthMetadata(AuthenticationMetadata.newBuilder().setKeyAttestationMetadata(metadata))
          .build();
      count("CHALLENGED");
      refuse(response, HttpServletResponse.SC_UNAUTHORIZED, info);
    } catch (AttestationException problem) {
      LOG.error("attestation service: {}", problem.getMessage());
      count("ERROR");
      refuse(response, HttpServletResponse.SC_OK, later(RejectionReason.Enum.UNAUTHORIZED));
    }
  }

  private boolean verify(String token, String record, HttpServletResponse response) throws IOException {
    try {
      if (service.verify(record)) {
        tokens.add(token, clock.instant());
        count("VERIFIED");
        return true;
      }
      LOG.info("refused: the attestation record of the device is not accepted");
      count("REFUSED");
      refuse(response, HttpServletResponse.SC_FORBIDDEN, later(RejectionReason.Enum.UNAUTHORIZED));
    } catch (AttestationException problem) {
      LOG.error("attestation service: {}", problem.getMessage());
      count("ERROR");
      refuse(response, HttpServletResponse.SC_OK, later(RejectionReason.Enum.UNAUTHENTICATED));
    }
    return false;
  }

  private void count(String result) {
    meters.counter("device-authentication", "result", result).increment();
  }

  private static RejectionInfo later(RejectionReason.Enum reason) {
    return RejectionInfo.newBuilder().setReason(reason).setRetryWindow(SOON).build();
  }

  private static void refuse(HttpServletResponse response, int status, RejectionInfo info) throws IOException {
    byte[] body = CreateTaskAssignmentResponse.newBuilder().setRejectionInfo(info).build().toByteArray();
    response.setStatus(status);
    response.setContentType("application/x-protobuf");
    response.setContentLength(body.length);
    response.getOutputStream().write(body);
  }
}
