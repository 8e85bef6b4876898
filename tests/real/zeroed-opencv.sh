#!/bin/sh
# OpenCV, whose large matrices are mostly made by cv::Mat::zeros: the control matrix of a Kalman filter, of 512 MiB,
# and the counts of HoughLines, of 100 MiB for two points.
. "$LZ_SRCDIR/tests/real/zeroed-lib.sh"
python=/usr/bin/python3
[ -x $python ] || python=$LZ_PYTHON3
$python -c 'import cv2' 2>/dev/null ||
  { echo 'skipped: the Python module cv2 is missing (Debian package python3-opencv)'; exit 77; }
export OPENBLAS_NUM_THREADS=1

cat >"$work/kalman.py" <<'END'
import cv2
import numpy

kalman = cv2.KalmanFilter(64, 1, 2 << 20)
kalman.statePost = numpy.ones((64, 1), numpy.float32)
print(kalman.predict().sum())
END
zeroed 'cv::Mat::zeros (KalmanFilter)' 4 $python ../kalman.py

cat >"$work/lines.py" <<'END'
import cv2
import numpy

image = numpy.zeros((64, 64), numpy.uint8)
image[10, 20] = image[40, 50] = 255
# One count for each angle and each distance from the origin.
lines = cv2.HoughLines(image, 2e-3, numpy.pi / 180, 0)
print(len(lines), lines.sum())
END
# It looks for the largest counts everywhere.
factor=2
"$LZ_BUILDDIR/tests/kernel" zero-page 'the resident memory of HoughLines' || factor=0
zeroed 'cv::Mat::zeros (HoughLines)' $factor $python ../lines.py
exit $failed
