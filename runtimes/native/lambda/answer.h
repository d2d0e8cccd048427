// What a Lambda function answers, as an HTTP response: payload format 2.0, or the prelude of a stream.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace sterna::native {

struct AnswerHead {
  std::uint32_t status = 200;
  std::uint32_t header_count = 0;
  std::string headers;  // a block (wire/messages.h)

  void add(std::string_view name, std::string_view value);
};

struct Answer {
  AnswerHead head;
  std::string body;
};

// A JSON object with `statusCode` says status, `headers`, `cookies`, `body`, `isBase64Encoded`. Every other
// JSON value is the body itself, 200 and application/json; what is no JSON too, as text/plain or
// application/octet-stream. Fails with invalid, reason `bad_answer`, saying what to do.
Result<Answer> read_answer(std::string payload);

// The error that a program reports of a call or of its start: `errorType`, `errorMessage` and a trace in
// JSON; whatever is no such object is the message itself.
struct ReportedError {
  std::string type;
  std::string message;
  std::string trace;  // lines

  // "Type: message", of that the first line.
  std::string summary() const;
  // Type, whole message and trace; the trace alone when it begins with them.
  std::string text() const;
};
ReportedError read_error(std::string_view body, std::string_view type);

// The beginning of a stream of type application/vnd.awslambda.http-integration-response: JSON with
// `statusCode`, `headers` and `cookies`, 8 zero bytes, then the body.
class Prelude {
 public:
  // Takes the stream's next bytes; true when the head is complete, and `part` then is what follows it. Fails
  // like read_answer.
  Result<bool> take(std::string_view& part);
  AnswerHead& head() { return head_; }

 private:
  std::string pending_;
  AnswerHead head_;
};

}  // namespace sterna::native
