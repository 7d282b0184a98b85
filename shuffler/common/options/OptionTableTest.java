package com.google.ondevicepersonalization.federatedcompute.shuffler.common.options;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class OptionTableTest {
  private static OptionValues parse(String text) {
    return FcpOptions.TABLE.parse(text);
  }

  @Test
  void emptyTextGivesTheDefaults() {
    OptionValues values = parse("  \n");
    assertThat(values.get(FcpOptions.PROJECT_ID)).isEmpty();
    assertThat(values.get(FcpOptions.UPLOAD_GRADIENT_TOKEN_DURATION)).contains(Duration.ofSeconds(900));
    assertThat(values.get(FcpOptions.UPLOAD_TIMEOUT)).contains(Duration.ofMinutes(15));
    assertThat(values.get(FcpOptions.COLLECTOR_BATCH_SIZE)).contains(50);
    assertThat(values.get(FcpOptions.AGGREGATOR_SUBSCRIBER_MAX_OUTSTANDING_ELEMENT_COUNT)).contains(2L);
    assertThat(values.get(FcpOptions.COMPRESSION_FORMAT)).contains(List.of(CompressionFormat.GZIP));
    assertThat(values.get(FcpOptions.AGGREGATION_BATCH_FAILURE_THRESHOLD)).isEmpty();
    assertThat(values.get(FcpOptions.ENABLE_AGGREGATION_SUCCESS_NOTIFICATIONS)).contains(false);
  }

  @Test
  void everyTypeIsRead() {
    OptionValues values = parse("--project_id 'p q' --model_bucket_template 'fcp-t-m-%s'\t--upload_timeout_minutes 3"
        + "\n--download_plan_token_duration '60' --collector_batch_size 7 --compression_format 'NONE,GZIP'"
        + " --aggregation_batch_failure_threshold '4000000000' --enable_aggregation_success_notifications 'true' ");
    assertThat(values.get(FcpOptions.PROJECT_ID)).contains("p q");
    assertThat(values.get(FcpOptions.MODEL_BUCKET_TEMPLATE)).contains("fcp-t-m-%s");
    assertThat(values.get(FcpOptions.UPLOAD_TIMEOUT)).contains(Duration.ofMinutes(3));
    assertThat(values.get(FcpOptions.DOWNLOAD_PLAN_TOKEN_DURATION)).contains(Duration.ofSeconds(60));
    assertThat(values.get(FcpOptions.COLLECTOR_BATCH_SIZE)).contains(7);
    assertThat(values.get(FcpOptions.COMPRESSION_FORMAT)).contains(List.of(CompressionFormat.NONE, CompressionFormat.GZIP));
    assertThat(values.get(FcpOptions.AGGREGATION_BATCH_FAILURE_THRESHOLD)).contains(4_000_000_000L);
    assertThat(values.get(FcpOptions.ENABLE_AGGREGATION_SUCCESS_NOTIFICATIONS)).contains(true);
  }

  @ParameterizedTest
  @CsvSource({
    "http://127.0.0.1:8083, true",
    "https://devices.example/, true",
    "ftp://devices.example/, false",
    "http://, false",
    "devices.example, false",
    "'http://a b', false",
  })
  void urlIsChecked(String url, boolean valid) {
    assertThat(LocalOptions.PUBLIC_URL.parser().apply(url).isPresent()).isEqualTo(valid);
  }

  @ParameterizedTest
  @CsvSource({"https://a.example/v1, true", "https://a.example, false", "https://a.example:7, false", "https://a.example/, false"})
  void urlToWhichMoreIsAppendedNeedsAPath(String url, boolean valid) {
    assertThat(SecurityOptions.KEY_ATTESTATION_VALIDATION_BASE_URL.parser().apply(url).isPresent()).isEqualTo(valid);
  }

  /** What other parsers or shells would expand is only text here. */
  @ParameterizedTest
  @ValueSource(strings = {"", "@/etc/passwd", "${HOME}", "#{systemProperties}", "$(id)", "a\\b", "--project_id", "a\"b", "é\n"})
  void quotedValueIsTakenAsItIs(String value) {
    assertThat(parse("--project_id '" + value + "'").get(FcpOptions.PROJECT_ID)).contains(value);
  }

  @ParameterizedTest
  @CsvSource(delimiter = '|', quoteCharacter = '~', value = {
    "project_id 'x'                             | FCP_OPTS: character 1: expected an option, as in --name 'value'",
    "-project_id 'x'                            | FCP_OPTS: character 1: expected an option, as in --name 'value'",
    "--PROJECT_ID 'x'                           | FCP_OPTS: character 1: expected an option, as in --name 'value'",
    "@/etc/passwd                               | FCP_OPTS: character 1: expected an option, as in --name 'value'",
    "'--project_id' 'x'                         | FCP_OPTS: character 1: expected an option, as in --name 'value'",
    "--project_id 'x' y                         | FCP_OPTS: character 18: expected an option, as in --name 'value'",
    "--project_id='x'                           | FCP_OPTS: character 1: expected an option, as in --name 'value'",
    "--server.port '1'                          | FCP_OPTS: character 1: expected an option, as in --name 'value'",
    "--no_such_option 'x'                       | FCP_OPTS: unknown option --no_such_option",
    "--project_id                               | FCP_OPTS: --project_id: value is missing, expected a text",
    "--project_id --environment 'x'             | FCP_OPTS: --project_id: value is missing, expected a text",
    "--project_id'x'                            | FCP_OPTS: --project_id: expected a space between the name and the value",
    "--project_id 'x                            | FCP_OPTS: --project_id: malformed quotes, expected 'value' followed by a space or the end",
    "--project_id x'                            | FCP_OPTS: --project_id: malformed quotes, expected 'value' followed by a space or the end",
    "--project_id 'x'y                          | FCP_OPTS: --project_id: malformed quotes, expected 'value' followed by a space or the end",
    "--project_id \"x\"                         | FCP_OPTS: --project_id: malformed quotes, expected 'value' followed by a space or the end",
    "--project_id 'x' --project_id 'x'          | FCP_OPTS: --project_id is given twice",
    "--collector_batch_size '0'                 | FCP_OPTS: --collector_batch_size: expected a whole number from 1 to 2147483647, found '0'",
    "--collector_batch_size '-1'                | FCP_OPTS: --collector_batch_size: expected a whole number from 1 to 2147483647, found '-1'",
    "--collector_batch_size '2147483648'        | FCP_OPTS: --collector_batch_size: expected a whole number from 1 to 2147483647, found '2147483648'",
    "--upload_timeout_minutes '1.5'             | FCP_OPTS: --upload_timeout_minutes: expected a whole number of minutes from 1 to 2147483647, found '1.5'",
    "--upload_gradient_token_duration ''        | FCP_OPTS: --upload_gradient_token_duration: expected a whole number of seconds from 1 to 2147483647, found ''",
    "--aggregation_batch_failure_threshold '9999999999999999999' | FCP_OPTS: --aggregation_batch_failure_threshold: expected a whole number from 1 on, found '9999999999999999999'",
    "--compression_format 'GZIP,'               | FCP_OPTS: --compression_format: expected a list out of NONE and GZIP, separated by commas, found 'GZIP,'",
    "--compression_format 'gzip'                | FCP_OPTS: --compression_format: expected a list out of NONE and GZIP, separated by commas, found 'gzip'",
    "--model_bucket_template 'm-0'              | FCP_OPTS: --model_bucket_template: expected a bucket name with one %s, found 'm-0'",
    "--model_bucket_template '%s-%s'            | FCP_OPTS: --model_bucket_template: expected a bucket name with one %s, found '%s-%s'",
    "--enable_aggregation_success_notifications 'yes' | FCP_OPTS: --enable_aggregation_success_notifications: expected true or false, found 'yes'",
  })
  void malformedTextIsRefusedInOneLine(String text, String message) {
    assertThatThrownBy(() -> parse(text)).isInstanceOf(InvalidOptionsException.class).hasMessage(message);
  }

  @Test
  void messageIsOneLineWhateverTheValue() {
    assertThatThrownBy(() -> parse("--collector_batch_size '1\n2\r'")).hasMessageEndingWith("found '1?2?'");
  }

  @Test
  void secretThatLostItsQuotesIsNotShown() {
    assertThatThrownBy(() -> parse("--model_cdn_signing_key_value_a hush hush")).hasMessageNotContaining("hush");
    assertThatThrownBy(() -> parse("--model_cdn_signing_key_value_a 'hush")).hasMessageNotContaining("hush");
    assertThat(parse("--model_cdn_signing_key_value_a 'hush'")).hasToString("[model_cdn_signing_key_value_a]");
  }

  @Test
  void theOtherVariablesHaveTheirOwnOptions() {
    OptionValues security = SecurityOptions.TABLE.parse("--is_authentication_enabled 'true' --key_attestation_api_key 'k'");
    assertThat(security.get(SecurityOptions.IS_AUTHENTICATION_ENABLED)).contains(true);
    assertThat(security.get(SecurityOptions.ALLOW_ROOTED_DEVICES)).contains(false);
    OptionValues encryption = EncryptionOptions.TABLE.parse("--should_encrypt_aggregator_output 'false'");
    assertThat(encryption.get(EncryptionOptions.SHOULD_ENCRYPT_AGGREGATOR_OUTPUT)).contains(false);
    assertThat(EncryptionOptions.TABLE.parse("").get(EncryptionOptions.SHOULD_ENCRYPT_AGGREGATOR_OUTPUT)).contains(true);
    assertThatThrownBy(() -> parse("--is_authentication_enabled 'true'"))
        .hasMessage("FCP_OPTS: unknown option --is_authentication_enabled");
  }

  @Test
  void tablesNameEachOptionOnce() {
    List<String> names = new ArrayList<>();
    List.of(FcpOptions.TABLE, SecurityOptions.TABLE, EncryptionOptions.TABLE)
        .forEach(table -> table.options().forEach(option -> names.add(option.name())));
    assertThat(names).doesNotHaveDuplicates().hasSize(44);
  }
}
