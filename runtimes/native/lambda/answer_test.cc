#include "native/lambda/answer.h"

#include <gtest/gtest.h>

#include "wire/messages.h"

namespace sterna::native {
namespace {

std::string headers_of(const AnswerHead& head) {
  std::string out;
  wire::HeaderWalk walk(head.headers, head.header_count);
  std::string_view name;
  std::string_view value;
  while (walk.next(name, value)) out.append(name).append("=").append(value).append("|");
  EXPECT_TRUE(walk.ok());
  return out;
}

std::string told(std::string_view payload) {
  const auto answer = read_answer(std::string(payload));
  if (!answer) return answer.error().detail;
  return std::to_string(answer->head.status) + " " + headers_of(answer->head) + " " + answer->body;
}

TEST(ReadAnswer, TakesPayloadFormat2) {
  EXPECT_EQ(told(R"({"statusCode": 201, "headers": {"X-A": "1", "X-N": 2, "X-B": true, "X-Null": null,
                     "Content-Length": "9"}, "cookies": ["a=1", "b=2"], "body": "hi"})"),
            "201 X-A=1|X-B=true|X-N=2|Set-Cookie=a=1|Set-Cookie=b=2|Content-Type=application/json| hi");
  EXPECT_EQ(told(R"({"statusCode": "204"})"), "204  ");
  EXPECT_EQ(told(R"({"statusCode": 200, "headers": {"content-type": "text/x"}, "body": "aGk=",
                     "isBase64Encoded": true})"),
            "200 content-type=text/x| hi");
  EXPECT_EQ(told(R"({"statusCode": 200, "headers": {"X": ["1", "2"]}, "body": null})"), "200 X=1|X=2| ");
}

TEST(ReadAnswer, EveryOtherJsonIsTheBody) {
  for (const std::string_view json : {"null", "1.5", "\"text\"", "[1, 2]", R"({"message": "hi"})", " {} "}) {
    EXPECT_EQ(told(json), "200 Content-Type=application/json| " + std::string(json));
  }
}

TEST(ReadAnswer, WhatIsNoJsonIsTheBodyToo) {
  EXPECT_EQ(told("Echoing request: '{}'"),
            "200 Content-Type=text/plain; charset=utf-8| Echoing request: '{}'");
  EXPECT_EQ(told("{broken"), "200 Content-Type=text/plain; charset=utf-8| {broken");
  EXPECT_EQ(told(""), "200 Content-Type=text/plain; charset=utf-8| ");
  EXPECT_EQ(told("\xff\xfe"), "200 Content-Type=application/octet-stream| \xff\xfe");
}

TEST(ReadAnswer, SaysWhatIsWrong) {
  EXPECT_EQ(told(R"({"statusCode": 99})"), "statusCode must be a number from 200 to 599");
  EXPECT_EQ(told(R"({"statusCode": "x"})"), "statusCode must be a number from 200 to 599");
  EXPECT_EQ(told(R"({"statusCode": 200, "headers": ["a"]})"),
            "headers must be an object of names and values");
  EXPECT_EQ(told(R"({"statusCode": 200, "headers": {"X": {}}})"),
            "header X must be a string, or an array of strings");
  EXPECT_EQ(told(R"({"statusCode": 200, "cookies": "a=1"})"), "cookies must be an array of strings");
  EXPECT_TRUE(told(R"({"statusCode": 200, "body": {"a": 1}})").starts_with("body must be a string"));
  EXPECT_EQ(told(R"({"statusCode": 200, "body": "x", "isBase64Encoded": 1})"),
            "isBase64Encoded must be true or false");
  EXPECT_TRUE(told(R"({"statusCode": 200, "body": "x", "isBase64Encoded": true})")
                  .starts_with("isBase64Encoded is true, but the body is base64"));
}

TEST(ReadAnswer, HeadersAreAsLargeAsAFrameMayHaveThem) {
  const std::string most(wire::kMaxHeaderBytes - 8 - 5, 'v');  // two lengths and the name
  const auto answer = [](const std::string& value) {
    return R"({"statusCode": 200, "headers": {"X-Big": ")" + value + R"("}})";
  };
  EXPECT_TRUE(read_answer(answer(most)));
  EXPECT_EQ(told(answer(most + "v")), "headers and cookies are larger than 65536 bytes");
  const std::string with_body = answer(most);  // its type comes to the others
  EXPECT_EQ(told(with_body.substr(0, with_body.size() - 1) + R"(, "body": "x"})"),
            "headers and cookies are larger than 65536 bytes");
  Prelude prelude;
  const std::string stream = answer(most + "v") + std::string(8, '\0');
  std::string_view part = stream;
  EXPECT_FALSE(prelude.take(part));
}

TEST(ReadAnswer, LargeOnesAreReadAlike) {
  const std::string large(100'000, 'x');
  const std::string object =
      R"({"headers": {"body": "no", "Content-Type": "t/x"}, "statusCode": 201, "body": "a\n)" + large +
      R"("})";
  EXPECT_EQ(told(object), "201 Content-Type=t/x|body=no| a\n" + large);
  const std::string other = R"({"body": ")" + large + R"("})";
  EXPECT_EQ(told(other), "200 Content-Type=application/json| " + other);
  for (const std::string& broken : {R"({"statusCode": 200, "body": ")" + large + "\n\"}",
                                    R"({"statusCode": 200, "body": ")" + large + R"("]})",
                                    R"({"statusCode": 200, "body": ")" + large + R"(\)"}) {
    EXPECT_TRUE(told(broken).starts_with("200 Content-Type=text/plain"));
  }
  EXPECT_EQ(told(R"({"body": 1, "statusCode": 200, "x": ")" + large + R"("})").substr(0, 21),
            "body must be a string");
}

TEST(ReadAnswer, IsNotHurtByDeepNesting) {
  const std::string deep(200'000, '[');
  EXPECT_TRUE(told(deep).starts_with("200 Content-Type=text/plain"));
  const std::string object = R"({"statusCode": 200, "x": )" + deep + std::string(200'000, ']') + "}";
  EXPECT_EQ(told(object), "200  ");
}

TEST(ReadError, FindsTypeMessageAndTrace) {
  const ReportedError error = read_error(
      R"({"errorType": "ValueError", "errorMessage": "no", "stackTrace": ["  File a\n", "  line b"]})",
      "Other");
  EXPECT_EQ(error.summary(), "ValueError: no");
  EXPECT_EQ(error.text(), "ValueError: no\n  File a\n  line b\n");
}

TEST(ReadError, DoesNotRepeatTheFirstLineOfNodesTrace) {
  const ReportedError error =
      read_error(R"({"errorType": "Error", "errorMessage": "no", "trace": ["Error: no", "    at f"]})", "");
  EXPECT_EQ(error.text(), "Error: no\n    at f\n");
}

TEST(ReadError, ASummaryIsOneLine) {
  const ReportedError error =
      read_error(R"({"errorType": "Import", "errorMessage": "no app\nRequire stack:"})", "");
  EXPECT_EQ(error.summary(), "Import: no app");
  EXPECT_EQ(error.text(), "Import: no app\nRequire stack:");
}

TEST(ReadError, TakesWhateverComes) {
  EXPECT_EQ(read_error("plain text", "Runtime.Broken").text(), "Runtime.Broken: plain text");
  EXPECT_EQ(read_error("", "Runtime.Broken").text(), "Runtime.Broken");
  EXPECT_EQ(read_error("[1]", "").text(), "[1]");
  EXPECT_EQ(read_error(R"({"errorMessage": 7, "trace": "x", "errorType": null})", "T").text(), "T: 7");
}

TEST(Prelude, ComesInPartsOfAnySize) {
  const std::string stream =
      std::string(R"({"statusCode": 203, "headers": {"X": "y"}, "cookies": ["c=1"]})") +
      std::string(8, '\0') + "body";
  for (std::size_t step = 1; step <= stream.size(); ++step) {
    Prelude prelude;
    std::string rest;
    bool complete = false;
    for (std::size_t at = 0; at < stream.size(); at += step) {
      std::string_view part = std::string_view(stream).substr(at, step);
      if (!complete) {
        const auto taken = prelude.take(part);
        ASSERT_TRUE(taken) << step;
        complete = *taken;
        if (!complete) continue;
      }
      rest += part;
    }
    EXPECT_TRUE(complete) << step;
    EXPECT_EQ(rest, "body") << step;
    EXPECT_EQ(prelude.head().status, 203U);
    EXPECT_EQ(headers_of(prelude.head()), "X=y|Set-Cookie=c=1|");
  }
}

TEST(Prelude, RefusesWhatIsNone) {
  for (const std::string& stream : {std::string("no json") + std::string(8, '\0'), std::string(8, '\0'),
                                    std::string("[]") + std::string(8, '\0'), std::string(200'000, 'x'),
                                    std::string(R"({"statusCode": 9})") + std::string(8, '\0')}) {
    Prelude prelude;
    std::string_view part = stream;
    EXPECT_FALSE(prelude.take(part)) << stream.substr(0, 20);
  }
}

}  // namespace
}  // namespace sterna::native
